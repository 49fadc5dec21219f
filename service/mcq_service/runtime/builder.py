"""Puts together what answers: a model's engine, its scheduling, and the use cases on top."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcq_service.answering import Answering, Defaults
from mcq_service.answering.calibration import Calibration
from mcq_service.answering.calibration_files import calibration_for, calibration_of_remote
from mcq_service.api.service.schemas import Identity
from mcq_service.engine import Tokenizer, cpus
from mcq_service.engine.remote.openai_client import Client
from mcq_service.model_store.precision import best_float
from mcq_service.openai import Completing
from mcq_service.prompts import ANSWER_FIRST, REASONING_FIRST, Form
from mcq_service.runtime.selftest import SelfTest
from mcq_service.scheduler import Admission, Batcher, Limits, LocalTexts
from mcq_service.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from mcq_service.engine import Engine, Texts
    from mcq_service.engine.remote.remote_engine import RemoteTexts
    from mcq_service.model_store import PrecisionChoice, PreparedModel
    from mcq_service.runtime.settings import Settings
    from mcq_service.scheduler import Job
    from mcq_service.telemetry import Tracing


class EngineUnfit(Exception):  # noqa: N818 - says what it is
    """The engine that is configured can't compute with the weights that are; the message says what fits."""


@dataclass(frozen=True)
class RemoteModel:
    """What is known of a model that another server has."""

    uri: str
    revision: str = ""
    digest: str = ""
    precision: str = ""


@dataclass(frozen=True)
class Serving:
    """What answers once the model is there; `alive` says whether its thread still runs, `stop` ends it for good.

    `completing` is None where the engine is another server; `since` is in seconds since the epoch.
    """

    identity: Identity
    answering: Answering
    admission: Admission
    selftest: SelfTest
    engine: str
    alive: Callable[[], bool]
    stop: Callable[[], Awaitable[None]]
    completing: Completing | None = None
    since: int = field(default_factory=lambda: int(time.time()))


def identity(model: PreparedModel | RemoteModel, form: Form = ANSWER_FIRST) -> Identity:
    """Which model it is, and by which prompt it answers."""
    return Identity(
        uri=model.uri,
        revision=model.revision or None,
        digest=model.digest or None,
        precision=model.precision or None,
        prompt_digest=form.digest,
    )


def precision_for(settings: Settings) -> PrecisionChoice:
    """The precision to prepare the model in for the engine that is configured. Raises EngineUnfit."""
    engine, precision = settings.engine, settings.model_precision
    if engine == "cpu" and precision not in {"auto", "int8"}:
        msg = f"MCQ_ENGINE=cpu computes in int8 only: MCQ_MODEL_PRECISION={precision} does not fit it."
        raise EngineUnfit(msg)
    if engine == "transformers" and precision == "int8":
        raise EngineUnfit(
            "MCQ_ENGINE=transformers can't compute in int8: MCQ_MODEL_PRECISION=int8 does not fit it."
        )
    if precision == "auto" and engine == "transformers":
        return best_float()
    return "int8" if engine == "cpu" else precision


def load_engine(prepared: PreparedModel, settings: Settings) -> Engine[Any]:
    """The engine for a prepared model: int8 weights are the CPU engine's, others those of transformers."""
    # Imported here: torch takes seconds, and the CPU engine does not need it.
    count = settings.threads or cpus.available()
    if prepared.precision == "int8":
        from mcq_service.engine.int8.int8_engine import CPUEngine

        return CPUEngine(prepared.path, context_length=settings.context_length, threads=count)
    if settings.engine == "cpu":
        raise EngineUnfit(
            f"MCQ_ENGINE=cpu computes in int8 only, and {prepared.uri} is prepared in {prepared.precision}."  # noqa: EM102
        )
    from mcq_service.engine.transformers_engine import TransformersEngine

    return TransformersEngine(prepared.path, context_length=settings.context_length, threads=count)


def local(
    prepared: PreparedModel, settings: Settings, *, metrics: Metrics, tracing: Tracing,
    forms: Iterable[Form] = (),
) -> Callable[[], Serving]:  # fmt: skip
    """Load a prepared model; blocks for seconds. What it returns is to be called in the event loop's thread.

    The prefixes of the forms that questions are asked in are read once, those of further `forms` as well.
    """
    engine = load_engine(prepared, settings)
    tokenizer = Tokenizer(prepared.path)
    calibration = calibration_for(prepared, explicit=settings.calibration)
    for form in {ANSWER_FIRST, REASONING_FIRST, calibration.form, *forms}:
        engine.share(tokenizer.ours(form.prefix))

    def observe(*, jobs: Sequence[Job], tokens: int, started_ns: int, seconds: float) -> None:
        metrics.stepped(batch=len(jobs), tokens=tokens, seconds=seconds)
        tracing.step(
            since_ns=started_ns,
            requests=[job.span for job in jobs if job.span is not None],
            **{"mcq.batch.size": len(jobs), "mcq.batch.tokens": tokens},
        )

    def serving() -> Serving:
        batcher = Batcher(engine, observer=observe)
        texts = LocalTexts(batcher, tokenizer)
        admission = Admission(limits(settings))

        async def stop() -> None:
            batcher.stop()
            prepared.release()

        use_cases = answering(
            texts, admission, settings, model=prepared.name,
            calibration=calibration, metrics=metrics, tracing=tracing,
        )  # fmt: skip
        return Serving(
            identity=identity(prepared, calibration.form),
            answering=use_cases,
            admission=admission,
            selftest=selftest(texts, settings, tracing=tracing),
            engine=engine.name,
            alive=lambda: batcher.alive,
            stop=stop,
            completing=Completing(
                texts,
                admission,
                model=use_cases.model,
                deadline_seconds=settings.deadline_seconds,
                metrics=metrics,
                tracing=tracing,
            ),
        )

    return serving


def client(settings: Settings) -> Client:
    """The other server that is configured as the engine."""
    assert settings.openai_endpoint is not None, "settings see to it"  # noqa: S101
    return Client(
        settings.openai_endpoint,
        key_file=settings.openai_api_key_file,
        timeout_seconds=settings.deadline_seconds,
    )


def remote(texts: RemoteTexts, settings: Settings, *, metrics: Metrics, tracing: Tracing) -> Serving:
    """What answers with another server as its engine; to be called in the event loop's thread."""
    admission = Admission(limits(settings))
    calibration = calibration_of_remote(settings.calibration)
    return Serving(
        identity=identity(RemoteModel(texts.model), calibration.form),
        answering=answering(
            texts, admission, settings,
            model=texts.model, calibration=calibration, metrics=metrics, tracing=tracing,
        ),
        admission=admission,
        selftest=selftest(texts, settings, tracing=tracing),
        engine=texts.name,
        alive=lambda: True,
        stop=texts.close,
    )  # fmt: skip


def limits(settings: Settings) -> Limits:
    """How much is taken on."""
    return Limits(
        queued_requests=settings.max_queued_requests,
        queued_tokens=settings.max_queued_tokens,
        active_tokens=max(settings.max_active_tokens, settings.context_length),
        writers=settings.max_batch_size,
    )


def selftest(texts: Texts, settings: Settings, *, tracing: Tracing) -> SelfTest:
    """The test question. No client asked it: it does not wait behind them, and is not counted or calibrated."""
    return SelfTest(
        answering(
            texts, Admission(limits(settings)), settings,
            model="", calibration=Calibration(), metrics=Metrics(), tracing=tracing,
        )
    )  # fmt: skip


def answering(
    texts: Texts, admission: Admission, settings: Settings,
    *, model: str, calibration: Calibration, metrics: Metrics, tracing: Tracing,
) -> Answering:  # fmt: skip
    """The use cases on an engine, as the settings say."""
    return Answering(
        texts,
        admission,
        model=model,
        defaults=Defaults(
            mode=settings.default_mode,
            max_reasoning_tokens=settings.max_reasoning_tokens,
            min_confidence=settings.min_confidence,
            debias=settings.debias,
            deadline_seconds=settings.deadline_seconds,
        ),
        calibration=calibration,
        metrics=metrics,
        tracing=tracing,
    )
