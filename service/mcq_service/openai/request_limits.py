"""Limits of one request of the OpenAI-compatible surface: tokens and log-probabilities.

A request within them does not hold up others, because its prompts take turns with theirs. Nor is its response too
large for memory or the event loop: 131,072 log-probabilities are about 6 MB of JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.api.openai.schemas import MAX_LOGPROBS
from mcq_service.api.problems import InvalidField, RequestTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TOKENS = 262_144
"""All prompts and their continuations: 64 prompts that fill a context of 4,096."""
MAX_SCORES = 131_072
"""Log-probabilities in the response: 16 prompts of 4,096 tokens with `echo` and `logprobs` 1, as harnesses send."""


def check_tokens(total: int, *, name: str) -> None:
    """Raise RequestTooLarge if prompts and continuations have too many tokens; `name` is the request's field."""
    if total > MAX_TOKENS:
        _refuse(
            f"The request has {total} tokens, including those it may write; the limit is {MAX_TOKENS}. Send fewer "
            "prompts at once, or set a smaller max_tokens.",
            name,
        )


def check_scores(counts: Iterable[int], *, top: int, context_length: int, name: str) -> None:
    """Raise RequestTooLarge if too many tokens get a log-probability, each with `top` alternatives.

    A single prompt that fills the context is always allowed.
    """
    scores, limit = sum(counts) * (1 + top), max(MAX_SCORES, context_length * (1 + MAX_LOGPROBS))
    if scores > limit:
        _refuse(
            f"The request asks for {scores} log-probabilities; the limit is {limit}. Send fewer prompts at once, ask "
            "for fewer logprobs, or set a smaller max_tokens.",
            name,
        )


def _refuse(detail: str, name: str) -> None:
    raise RequestTooLarge(detail, errors=[InvalidField(pointer=f"/{name}", detail=detail)])
