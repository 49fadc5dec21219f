"""Prometheus metrics, in the OpenMetrics format with traces as exemplars."""

from __future__ import annotations

from collections import Counter as Counts
from collections import defaultdict
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from mcq_service.telemetry.exam_requests import of_exam
from mcq_service.telemetry.gen_ai import GenAI
from mcq_service.telemetry.tracing import current_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.api.mcq.answer_schemas import Answer, Usage
    from mcq_service.api.service.schemas import Identity

CONTENT_TYPE = CONTENT_TYPE_LATEST
disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused second series for each counter
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
MODES = ("answer", "explain", "reason", "completion", "chat", "decide", "unknown")
"""The values of the label `mode`."""
FAILURES = (
    "bad-engine",
    "deadline-exceeded",
    "draining",
    "internal-error",
    "not-ready",
    "out-of-memory",
    "overloaded",
)
"""The outcomes of valid questions that got no answer: slugs of problems."""
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Traffic(NamedTuple):
    """The users' questions of one replica since its start, without those of exams.

    `modes` has the number of answered questions and their seconds.
    """

    outcomes: dict[str, int]
    modes: dict[str, tuple[int, float]]


class Metrics:
    """The metrics of one replica; durations are in seconds."""

    def __init__(self) -> None:
        """Create the metrics in a registry of their own."""
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._requests = counter(
            "mcq_requests", "Questions, by outcome, without those of exams.", ["mode", "outcome"]
        )
        # Failures start at 0, because a rate does not see the rise to a series' first value.
        for mode, outcome in product(MODES, FAILURES):
            self._requests.labels(mode, outcome)
        self._duration = histogram(
            "mcq_request_duration_seconds", "Time from admission to the end, the reasoning included.", ["mode"],
            buckets=SECONDS,
        )  # fmt: skip
        self._answer_duration = histogram(
            "mcq_answer_duration_seconds",
            "Time from admission to the probabilities.",
            ["mode"],
            buckets=SECONDS,
        )
        self._confidence = histogram(
            "mcq_answer_confidence", "The chosen label's probability.", buckets=_SHARES
        )
        self._tokens = counter("mcq_tokens", "Tokens read and written.", ["type"])
        self._cached = counter("mcq_prefix_cache_tokens", "Prompt tokens that came from the prefix cache.")
        self._queue_depth = Gauge(
            "mcq_queue_depth", "Requests that wait for their first turn.", registry=self.registry
        )
        self._abstentions = counter(
            "mcq_abstentions", "Questions with a confidence below the minimum.", ["mode"]
        )
        self._escalations = counter(
            "mcq_escalations", "Questions handed to another solver, by outcome: answered, abstained or failed.",
            ["outcome"],
        )  # fmt: skip
        for outcome in ("answered", "abstained", "failed"):
            self._escalations.labels(outcome)
        self._escalation_confidence = histogram(
            "mcq_escalation_confidence",
            "The confidence of the first model, and of the other solver, in escalated questions.",
            ["answerer"],
            buckets=_SHARES,
        )
        self._labels = counter("mcq_answers", "Answers, by letter.", ["label"])
        self._batch_size = histogram("mcq_batch_size", "Texts that were read in one step.", buckets=_BATCHES)
        self._step_tokens = counter("mcq_step_tokens", "Tokens that the engine computed.")
        self._step_seconds = counter("mcq_step_seconds", "Seconds that the engine computed.")
        self._outcomes: Counts[str] = Counts()
        self._answered_by_mode: Counts[str] = Counts()
        self._seconds_by_mode: defaultdict[str, float] = defaultdict(float)
        self._gen_ai = GenAI(self.registry)
        self._model = Info("mcq_model", "The model that answers.", registry=self.registry)

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Read the queue's depth at each scrape."""
        self._queue_depth.set_function(depth)

    def watch_keys(self, *, accepted: Callable[[], int], invalid: Callable[[], int]) -> None:
        """Count the API keys at each scrape. Without a file of keys these metrics do not exist."""
        gauge = partial(Gauge, registry=self.registry)
        gauge("mcq_api_keys_accepted", "API keys that let a client in.").set_function(accepted)
        gauge(
            "mcq_api_keys_invalid",
            "Entries of the API keys' file that can't be used; 1 if the file itself can't be read.",
        ).set_function(invalid)

    def model_loaded(self, model: Identity, *, engine: str) -> None:
        """Set the model that answers and its engine; what another server does not say is empty."""
        self._model.info(
            {
                "uri": model.uri,
                "revision": model.revision or "",
                "digest": model.digest or "",
                "precision": model.precision or "",
                "engine": engine,
            }
        )

    def stepped(self, *, batch: int, tokens: int, seconds: float) -> None:
        """Count one step of the engine: `tokens` of `batch` texts."""
        self._batch_size.observe(batch)
        self._step_tokens.inc(tokens)
        self._step_seconds.inc(seconds)

    def answered(self, answer: Answer, *, own: Usage) -> None:
        """Count one answered question. `own` are the tokens of this replica's model, without another solver's."""
        self._count_tokens(own)
        self._gen_ai.record_answer(answer, own)
        if of_exam.get():
            return
        exemplar = _exemplar(answer.trace_id)
        mode, timings = answer.mode, answer.timings
        outcome = "abstained" if answer.abstained else "answered"
        self._count(mode=mode, outcome=outcome, seconds=timings.total_ms / 1000)
        self._duration.labels(mode).observe(timings.total_ms / 1000, exemplar)
        self._answer_duration.labels(mode).observe(timings.answer_ms / 1000, exemplar)
        self._confidence.observe(answer.confidence, exemplar)
        if answer.abstained:
            self._abstentions.labels(mode).inc()
        elif answer.answer is not None:
            label = answer.answer.label
            self._labels.labels(label if len(label) == 1 else "other").inc()

    def escalated(self, answer: Answer) -> None:
        """Count one question that another solver answered, or abstained from."""
        assert answer.escalation is not None
        if of_exam.get():
            return
        self._escalations.labels("abstained" if answer.abstained else "answered").inc()
        self._escalation_confidence.labels("first").observe(answer.escalation.first_confidence)
        self._escalation_confidence.labels("other").observe(answer.confidence)

    def escalation_failed(self) -> None:
        """Count one question that the other solver gave no answer to."""
        if not of_exam.get():
            self._escalations.labels("failed").inc()

    def completed(
        self, *, mode: str, operation: str, model: str, tokens: Usage, seconds: float, first: float | None
    ) -> None:
        """Count one text of the OpenAI-compatible surface; `first` is the time to its first token."""
        self._count_tokens(tokens)
        self._gen_ai.record(
            operation, model, tokens, seconds=seconds, first=first, following=tokens.completion_tokens - 1
        )
        if not of_exam.get():
            self._count(mode=mode, outcome="answered", seconds=seconds)
            self._duration.labels(mode).observe(seconds, _exemplar(current_trace_id()))

    def refused(self, *, mode: str, outcome: str) -> None:
        """Count one request that was not answered; `outcome` is the problem's slug."""
        if not of_exam.get():
            self._count(mode=mode, outcome=outcome)

    def _count_tokens(self, usage: Usage) -> None:
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("completion").inc(usage.completion_tokens)
        self._cached.inc(usage.cached_tokens)

    def traffic(self) -> Traffic:
        """Return the questions since the start, by outcome, and the time of the answered ones by mode."""
        modes = {mode: (count, self._seconds_by_mode[mode]) for mode, count in self._answered_by_mode.items()}
        return Traffic(dict(self._outcomes), modes)

    def _count(self, *, mode: str, outcome: str, seconds: float | None = None) -> None:
        """Count one question; `seconds` is the time of an answered one."""
        self._requests.labels(mode, outcome).inc()
        self._outcomes[outcome] += 1
        if seconds is not None:
            self._answered_by_mode[mode] += 1
            self._seconds_by_mode[mode] += seconds

    def exposition(self) -> bytes:
        """Return the metrics as OpenMetrics text."""
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return text


def _exemplar(trace_id: str | None) -> dict[str, str] | None:
    return {"trace_id": trace_id} if trace_id else None
