"""One text on one engine, as the use cases see it: what a local model and a remote server have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractContextManager

    from mcq_service.prompts import Prompt
    from mcq_service.yaml_output import Line


class PromptTooLong(Exception):  # noqa: N818 - says what happened
    """The prompt and the room for its answer do not fit into the context; the message has both in tokens."""


class EngineFailed(Exception):  # noqa: N818
    """A remote engine could not be reached, refused, or answered with what can't be read; the message says which.

    `said` are its own words, if there are any, which may quote the text it was sent: not for logs or clients.
    """

    said = ""


@dataclass
class Tokens:
    """How many tokens a text took: its whole prompt, of these not computed anew, and chosen by the model."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


class Share:
    """One request's share of an engine: its texts stand in line behind each other, and beside those of others.

    Time is counted in tokens that each share had read while it had something to read.
    """

    def __init__(self) -> None:
        """Of a request that has no text yet."""
        self._ends = 0.0

    def place(self, tokens: int, *, now: float) -> float:
        """When the turn of the next text comes, which has so many tokens to read."""
        begins = max(now, self._ends)
        self._ends = begins + tokens
        return begins


class Text(Protocol):
    """A prompt, and what follows it."""

    tokens: Tokens
    begun: float | None
    """When the first computation for it began, on the monotonic clock in seconds; None before."""

    async def letters(self, labels: Sequence[str]) -> list[float]:
        """The log-probability of each letter (A to Z) as the next token, up to one constant."""

    def force(self, text: str) -> None:
        """Go on with this text of ours, as if the model had written it."""

    def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        """Let the model write into `line`, greedily, until it is closed or `limit` tokens were chosen.

        Yields the pieces. What closed the line is not part of the text: it may be forced.
        """


class Encoded(Protocol):
    """A prompt as its engine reads it."""

    @property
    def size(self) -> int:
        """About how many tokens it has, for admission; exact where the tokenizer is at hand."""

    def open(self, share: Share) -> AbstractContextManager[Text]:
        """The text, with the room that it was encoded for; leaving gives its memory back."""


class Texts(Protocol):
    """One engine that reads and writes texts, several at once."""

    async def encode(self, prompt: Prompt, *, room: int) -> Encoded:
        """The prompt of a text that `room` tokens may be written to, made off the event loop. Raises PromptTooLong."""

    async def score(
        self, prompts: Sequence[Prompt], labels: Sequence[str], *, share: Share
    ) -> tuple[list[list[float]], Tokens]:
        """The letters' log-probabilities after each of several prompts that differ in their choices only."""

    def score_size(self, size: int, count: int) -> int:
        """How many tokens `score` keeps in memory for so many prompts of about this size each."""
