"""OpenTelemetry's GenAI attributes of spans, and metrics under their Prometheus names.

They follow the semantic conventions v1.41.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram

if TYPE_CHECKING:
    from mcq_service.api.mcq.answer_schemas import Answer, Usage

TEXT_COMPLETION = "text_completion"
_LABELS = ["gen_ai_operation_name", "gen_ai_request_model"]
# Boundaries recommended by the conventions.
_REQUEST_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN_SECONDS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384)


def span_attributes(operation: str, model: str, *, max_tokens: int) -> dict[str, str | int]:
    """Return the attributes of a span in which a model reads or writes."""
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": max_tokens,
    }


class GenAI:
    """The metrics of any language-model server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the histograms; durations are in seconds."""

        def histogram(name: str, text: str, buckets: tuple[float, ...], *more: str) -> Histogram:
            return Histogram(f"gen_ai_{name}", text, [*_LABELS, *more], buckets=buckets, registry=registry)

        self._request = histogram(
            "server_request_duration_seconds", "Time from admission to the end.", _REQUEST_SECONDS
        )
        self._first = histogram(
            "server_time_to_first_token_seconds",
            "Time from admission to the answer or first token.",
            _FIRST_TOKEN_SECONDS,
        )
        self._token = histogram(
            "server_time_per_output_token_seconds",
            "Time between the tokens after that.",
            _TOKEN_SECONDS,
        )
        self._usage = histogram(
            "client_token_usage", "Tokens of a request, by type.", _TOKENS, "gen_ai_token_type"
        )

    def record_answer(self, answer: Answer, own: Usage) -> None:
        """Record one answered question; `own` are the tokens of this replica's model."""
        timings = answer.timings
        # In mode reason the answer comes last.
        first = None if answer.mode == "reason" else timings.answer_ms / 1000
        model = answer.escalation.first_model if answer.escalation else answer.model
        # The answer is no token of the usage: all of them come after it.
        self.record(
            TEXT_COMPLETION,
            model,
            own,
            seconds=timings.total_ms / 1000,
            first=first,
            following=own.completion_tokens,
        )

    def record(
        self, operation: str, model: str, usage: Usage, *, seconds: float, first: float | None, following: int
    ) -> None:
        """Record one text and its duration; `first` is the time to its answer or first token, if known.

        `following` is the number of tokens after that.
        """
        labels = (operation, model)
        self._request.labels(*labels).observe(seconds)
        self._usage.labels(*labels, "input").observe(usage.prompt_tokens)
        if usage.completion_tokens:
            self._usage.labels(*labels, "output").observe(usage.completion_tokens)
        if first is not None:
            self._first.labels(*labels).observe(first)
            if following > 0:
                self._token.labels(*labels).observe((seconds - first) / following)
