"""Build the backend: a model's engine, its scheduler, and the use cases on top."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcq_service.api.service.schemas import Identity
from mcq_service.engine import JSONGrammars, Tokenizer
from mcq_service.engine.cpus import available_cpus, lower_priority
from mcq_service.engine.errors import EngineMismatch
from mcq_service.engine.remote.openai_client import OpenAIClient
from mcq_service.mcq import AnswerOptions, MCQService, TypedQuestions
from mcq_service.mcq.calibration import Calibration
from mcq_service.mcq.calibration_files import calibration_for, remote_calibration
from mcq_service.mcq.escalation import Escalation
from mcq_service.model_store.precision import best_float, has_torch
from mcq_service.openai import Generation
from mcq_service.prompts import CHATML, ChatTemplate, Forms
from mcq_service.runtime.selftest import SelfTest
from mcq_service.scheduler import Admission, Limits, LocalTextEngine, Scheduler
from mcq_service.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcq_service.engine import Engine, TextEngine
    from mcq_service.engine.remote.remote_engine import RemoteTextEngine
    from mcq_service.model_store import PrecisionChoice, PreparedModel
    from mcq_service.prompts import Form
    from mcq_service.runtime.settings import Settings
    from mcq_service.scheduler import Task
    from mcq_service.telemetry import Tracing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """Everything that answers requests once the model is loaded.

    `alive` says whether the engine's thread runs; `stop` ends it for good. `forms` are those of the model's prompts.
    `generation` is None if the engine is another server. `since` is in seconds since the epoch.
    """

    identity: Identity
    mcq: MCQService
    typed_questions: TypedQuestions
    admission: Admission
    selftest: SelfTest
    engine: str
    forms: Forms
    alive: Callable[[], bool]
    stop: Callable[[], Awaitable[None]]
    generation: Generation | None = None
    since: int = field(default_factory=lambda: int(time.time()))


def identity_of(model: PreparedModel, form: Form) -> Identity:
    """Return the identity of a model and of the prompt it answers."""
    return Identity(
        uri=model.uri,
        revision=model.revision or None,
        digest=model.digest,
        precision=model.precision,
        prompt_digest=form.digest,
    )


def precision_for(settings: Settings) -> PrecisionChoice:
    """Return the precision to prepare the model in, for the configured engine. Raises EngineMismatch."""
    engine, precision = settings.engine, settings.model_precision
    if engine == "cpu" and precision not in {"auto", "int8"}:
        raise EngineMismatch(
            f"MCQ_ENGINE=cpu computes in int8 only: MCQ_MODEL_PRECISION={precision} does not fit it."
        )
    if engine == "transformers" and precision == "int8":
        raise EngineMismatch(
            "MCQ_ENGINE=transformers can't compute in int8: MCQ_MODEL_PRECISION=int8 does not fit it."
        )
    if not has_torch():
        if engine == "transformers" or precision in {"float32", "bfloat16"}:
            raise EngineMismatch(
                "Float precisions need torch and transformers, which are not installed: use the image "
                "mcq-service-torch, which the operator picks for model.precision float32 or bfloat16, or install "
                "mcq-service[torch]. MCQ_ENGINE=auto and MCQ_MODEL_PRECISION=auto need neither."
            )
        return "int8"
    if precision == "auto" and engine == "transformers":
        return best_float()
    return "int8" if engine == "cpu" else precision


def load_engine(prepared: PreparedModel, settings: Settings) -> Engine[Any]:
    """Load a prepared model: int8 weights into the int8 engine, others into transformers. Raises EngineMismatch."""
    # Imported here: importing torch takes seconds, and the int8 engine does not need it.
    threads = settings.threads or available_cpus()
    if prepared.precision == "int8":
        from mcq_service.engine.int8.int8_engine import Int8Engine

        return Int8Engine(
            prepared.path,
            context_length=settings.context_length,
            threads=threads,
            instructions=settings.instruction_set,
        )
    if settings.engine == "cpu":
        raise EngineMismatch(
            f"MCQ_ENGINE=cpu computes in int8 only, and {prepared.uri} is prepared in {prepared.precision}."
        )
    from mcq_service.engine.transformers_engine import TransformersEngine

    return TransformersEngine(prepared.path, context_length=settings.context_length, threads=threads)


def local(
    prepared: PreparedModel, settings: Settings, *, metrics: Metrics, tracing: Tracing,
    every_form: bool = False,
) -> Callable[[], Backend]:  # fmt: skip
    """Load a prepared model, which blocks for seconds; return a function that builds the backend.

    Call that function in the event loop's thread. The prefixes of the forms in use are cached, or with `every_form`
    those of all forms.
    """
    lower_priority()  # the engine's threads inherit it
    engine = load_engine(prepared, settings)
    tokenizer = Tokenizer(prepared.path)
    chat_template = ChatTemplate.read(prepared.path)
    forms = Forms(chat_template, beginning=tokenizer.beginning)
    calibration = calibration_for(prepared, forms, explicit=settings.calibration)
    letter_form = forms.answer_form(calibration.prompt_digest)
    used = forms.answering.values() if every_form else [letter_form]
    for form in {forms.answer_first, forms.reasoning_first, *used}:
        engine.cache_prefix(tokenizer.encode_trusted(form.prefix))
    grammars = JSONGrammars(tokenizer)
    try:
        grammars.prepare()
    except Exception:  # noqa: BLE001 - everything else works without
        _log.exception("chats of this model can't follow a JSON schema")

    def observe(*, tasks: Sequence[Task], tokens: int, started_ns: int, seconds: float) -> None:
        metrics.stepped(batch=len(tasks), tokens=tokens, seconds=seconds)
        tracing.step(
            since_ns=started_ns,
            requests=[task.span for task in tasks if task.span is not None],
            **{"mcq.batch.size": len(tasks), "mcq.batch.tokens": tokens},
        )

    def build() -> Backend:
        scheduler = Scheduler(engine, observer=observe)
        texts = LocalTextEngine(scheduler, tokenizer)
        admission = Admission(admission_limits(settings))

        async def stop() -> None:
            await asyncio.to_thread(scheduler.stop)
            prepared.release()

        return _backend(
            texts, admission, settings,
            identity=identity_of(prepared, letter_form), model=prepared.name, engine=engine.name, forms=forms,
            calibration=calibration, metrics=metrics, tracing=tracing, alive=lambda: scheduler.alive, stop=stop,
            generation=Generation(
                texts, admission, model=prepared.name, chat_template=chat_template, grammars=grammars,
                metrics=metrics, tracing=tracing,
            ),
        )  # fmt: skip

    return build


def openai_client(settings: Settings) -> OpenAIClient:
    """Return a client for the server that is configured as the engine."""
    assert settings.openai_endpoint is not None, "Settings requires it for this engine"
    return OpenAIClient(
        settings.openai_endpoint,
        key_file=settings.openai_api_key_file,
        timeout_seconds=settings.deadline_seconds,
    )


def remote(texts: RemoteTextEngine, settings: Settings, *, metrics: Metrics, tracing: Tracing) -> Backend:
    """Build the backend for another server as the engine. Call it in the event loop's thread."""
    calibration = remote_calibration(settings.calibration)
    return _backend(
        texts,
        Admission(admission_limits(settings)),
        settings,
        identity=Identity(
            uri=texts.model,
            revision=None,
            digest=None,
            precision=None,
            prompt_digest=CHATML.answer_form(calibration.prompt_digest).digest,
        ),
        model=texts.model,
        engine=texts.name,
        forms=CHATML,
        calibration=calibration,
        metrics=metrics,
        tracing=tracing,
        alive=lambda: True,
        stop=texts.close,
    )


def _backend(
    texts: TextEngine, admission: Admission, settings: Settings, *, identity: Identity, model: str, engine: str,
    forms: Forms, calibration: Calibration, metrics: Metrics, tracing: Tracing, alive: Callable[[], bool],
    stop: Callable[[], Awaitable[None]], generation: Generation | None = None,
) -> Backend:  # fmt: skip
    """Build the use cases on an engine that `stop` ends."""
    escalation = None
    if settings.escalation_endpoint is not None:
        escalation = Escalation(settings.escalation_endpoint, key_file=settings.escalation_api_key_file)

    async def stop_all() -> None:
        await stop()
        if escalation is not None:
            await escalation.close()

    return Backend(
        identity=identity,
        mcq=build_mcq_service(
            texts, admission, settings, model=model,
            calibration=calibration, metrics=metrics, tracing=tracing, escalation=escalation, forms=forms,
        ),
        typed_questions=TypedQuestions(
            texts, admission, model=model, debias=settings.debias,
            calibration=calibration, metrics=metrics, tracing=tracing, forms=forms,
        ),
        admission=admission,
        selftest=build_selftest(texts, settings, tracing=tracing, forms=forms),
        engine=engine,
        forms=forms,
        alive=alive,
        stop=stop_all,
        generation=generation,
    )  # fmt: skip


def admission_limits(settings: Settings) -> Limits:
    """Return the limits of admission."""
    return Limits(
        queued_requests=settings.max_queued_requests,
        queued_tokens=settings.max_queued_tokens,
        active_tokens=max(settings.max_active_tokens, settings.context_length),
        writers=settings.max_batch_size,
        deadline_seconds=settings.deadline_seconds,
    )


def build_selftest(
    texts: TextEngine, settings: Settings, *, tracing: Tracing, forms: Forms = CHATML
) -> SelfTest:
    """Build the self-test. Its question does not queue behind clients, and is neither counted nor calibrated."""
    return SelfTest(
        build_mcq_service(
            texts, Admission(admission_limits(settings)), settings,
            model="", calibration=Calibration(), metrics=Metrics(), tracing=tracing, forms=forms,
        )
    )  # fmt: skip


def build_mcq_service(
    texts: TextEngine, admission: Admission, settings: Settings,
    *, model: str, calibration: Calibration, metrics: Metrics, tracing: Tracing,
    escalation: Escalation | None = None, forms: Forms = CHATML,
) -> MCQService:  # fmt: skip
    """Build the multiple-choice use cases on an engine."""
    return MCQService(
        texts,
        admission,
        model=model,
        defaults=AnswerOptions(
            mode=settings.default_mode,
            max_reasoning_tokens=settings.max_reasoning_tokens,
            min_confidence=settings.min_confidence,
            debias=settings.debias,
        ),
        calibration=calibration,
        metrics=metrics,
        tracing=tracing,
        escalation=escalation,
        forms=forms,
    )
