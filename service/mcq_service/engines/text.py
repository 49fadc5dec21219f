"""One text on one engine, as the use cases see it: what a local model and a remote server have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractContextManager

    from mcq_service.parsing import Line
    from mcq_service.prompts import Prompt


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


class Texts(Protocol):
    """One engine that reads and writes texts, several at once."""

    def size(self, prompt: Prompt) -> int:
        """About how many tokens the prompt has, for admission; exact where the tokenizer is at hand."""

    def open(self, prompt: Prompt, *, room: int) -> AbstractContextManager[Text]:
        """A text with `room` tokens left to write; leaving gives its memory back. Raises PromptTooLong."""

    async def score(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> tuple[list[list[float]], Tokens]:
        """The letters' log-probabilities after each of several prompts that differ in their choices only."""
