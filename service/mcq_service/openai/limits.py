"""How much one request of the OpenAI-compatible surface may ask for: tokens, and log-probabilities.

A request that is within them is neither long work for others (its prompts take turns with theirs) nor a response that
memory or the event loop could not bear: 131,072 log-probabilities are about 6 MB of JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.api.openai.schemas import MAX_LOGPROBS
from mcq_service.api.problems import InvalidField, RequestTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TOKENS = 262_144
"""Of all prompts and of what may be written after them: 64 prompts that fill a context of 4,096."""
MAX_SCORES = 131_072
"""Log-probabilities in the response: 16 prompts of 4,096 tokens with `echo` and `logprobs` 1, as harnesses ask."""


def check_tokens(total: int, *, name: str) -> None:
    """Raise RequestTooLarge where prompts, and what may be written, are too many tokens; `name` is the field's."""
    if total > MAX_TOKENS:
        _refuse(
            f"The request comes to {total} tokens, those that may be written among them; one request may have "
            f"{MAX_TOKENS}. Send fewer prompts at once, or set a smaller max_tokens.",
            name,
        )


def check_scores(counts: Iterable[int], *, top: int, context_length: int, name: str) -> None:
    """Raise RequestTooLarge for too many tokens with a log-probability, each with those of `top` others in its place.

    One prompt that fills the context is never too much.
    """
    scores, most = sum(counts) * (1 + top), max(MAX_SCORES, context_length * (1 + MAX_LOGPROBS))
    if scores > most:
        _refuse(
            f"The request asks for {scores} log-probabilities; one request may ask for {most}. Send fewer prompts at "
            "once, ask for fewer logprobs, or set a smaller max_tokens.",
            name,
        )


def _refuse(detail: str, name: str) -> None:
    raise RequestTooLarge(detail, errors=[InvalidField(pointer=f"/{name}", detail=detail)])
