"""Puts together what answers: a model's engine, its scheduling, and the use cases on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcq_service.answering import Answering, Defaults
from mcq_service.answering.calibration_files import calibration_for
from mcq_service.engines import Tokenizer, threads
from mcq_service.prompts import FORMS
from mcq_service.scheduling import Admission, Batcher, Limits, LocalTexts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcq_service.engines import Engine, Texts
    from mcq_service.models import PreparedModel
    from mcq_service.scheduling import Job
    from mcq_service.settings import Settings
    from mcq_service.telemetry import Metrics, Tracing


@dataclass(frozen=True)
class Serving:
    """What answers once the model is there; `alive` says whether its thread still runs, `stop` ends it."""

    answering: Answering
    texts: Texts
    admission: Admission
    engine: str
    alive: Callable[[], bool]
    stop: Callable[[], None]


def load_engine(prepared: PreparedModel, settings: Settings) -> Engine[Any]:
    """The engine for a prepared model: int8 weights are the CPU engine's, others those of transformers."""
    # Imported here: torch takes seconds, and the CPU engine does not need it.
    count = settings.threads or threads.available()
    if prepared.precision == "int8":
        from mcq_service.engines.cpu_engine import CPUEngine

        return CPUEngine(prepared.path, context_length=settings.context_length, threads=count)
    from mcq_service.engines.transformers_engine import TransformersEngine

    return TransformersEngine(prepared.path, context_length=settings.context_length, threads=count)


def local(
    prepared: PreparedModel, settings: Settings, *, metrics: Metrics, tracing: Tracing
) -> Callable[[], Serving]:
    """Load a prepared model; blocks for seconds. What it returns is to be called in the event loop's thread."""
    engine = load_engine(prepared, settings)
    tokenizer = Tokenizer(prepared.path)
    for form in FORMS:
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
        return Serving(
            answering=answering(texts, admission, prepared, settings, metrics=metrics, tracing=tracing),
            texts=texts,
            admission=admission,
            engine=engine.name,
            alive=lambda: batcher.alive,
            stop=batcher.stop,
        )

    return serving


def limits(settings: Settings) -> Limits:
    """How much is taken on."""
    return Limits(
        queued_requests=settings.max_queued_requests,
        queued_tokens=settings.max_queued_tokens,
        active_tokens=max(settings.max_active_tokens, settings.context_length),
        writers=settings.max_batch_size,
    )


def answering(
    texts: Texts, admission: Admission, prepared: PreparedModel, settings: Settings,
    *, metrics: Metrics, tracing: Tracing,
) -> Answering:  # fmt: skip
    """The use cases on an engine, as the settings say."""
    return Answering(
        texts,
        admission,
        model=prepared.uri.removeprefix("hf://"),
        defaults=Defaults(
            mode=settings.default_mode,
            max_reasoning_tokens=settings.max_reasoning_tokens,
            min_confidence=settings.min_confidence,
            debias=settings.debias,
            deadline_seconds=settings.deadline_seconds,
        ),
        calibration=calibration_for(prepared, explicit=settings.calibration),
        metrics=metrics,
        tracing=tracing,
    )
