"""The engine as the use cases see it: a prompt that can be scored, forced and continued.

Local engines implement it through the scheduler, other servers through `engine.remote`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcq_service.api.mcq.answer_schemas import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from contextlib import AbstractContextManager

    from mcq_service.prompts import Prompt
    from mcq_service.yaml_output import Line


@dataclass
class Tokens:
    """Token counts of a text: its whole prompt, the cached part of the prompt, and the tokens the model chose."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    @property
    def usage(self) -> Usage:
        """The counts as responses give them."""
        return Usage(prompt_tokens=self.prompt, completion_tokens=self.completion, cached_tokens=self.cached)


class Share:
    """One request's share of an engine. Its texts queue behind each other, but not behind those of other requests.

    Time is counted in tokens: the tokens read for each share while it had some to read.
    """

    def __init__(self) -> None:
        """Start a share without texts."""
        self._ends = 0.0

    def place(self, tokens: int, *, now: float) -> float:
        """Queue a text with this many tokens to read; return the time of its turn."""
        begins = max(now, self._ends)
        self._ends = begins + tokens
        return begins


class Text(Protocol):
    """A prompt and its continuation."""

    tokens: Tokens
    started_at: float | None
    """When the first computation for it began, on the monotonic clock in seconds; None before."""

    async def score_labels(self, labels: Sequence[str]) -> list[float]:
        """Score each label as the next token: log-probabilities, up to one constant."""

    async def score_labels_and_mass(self, labels: Sequence[str]) -> tuple[list[float], float]:
        """Score each label, and return the probability that the next token is any of them."""

    def force(self, text: str) -> None:
        """Append our own text, as if the model had written it."""

    def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        """Let the model write greedily into `line`, until it is closed or the model chose `limit` tokens.

        Yields the pieces. The characters that closed the line are not part of the text; they may be forced.
        """


class EncodedPrompt(Protocol):
    """A prompt in its engine's form."""

    @property
    def size(self) -> int:
        """The number of tokens, for admission: exact with a tokenizer at hand, else an estimate."""

    @property
    def opening_size(self) -> int:
        """How many of them are kept once for all open prompts with the same opening."""

    def open(self, share: Share) -> AbstractContextManager[Text]:
        """Open the text, with the room it was encoded for; leaving frees its memory."""


class SharedTexts(Protocol):
    """Texts that begin with the same stem."""

    @property
    def started_at(self) -> float | None:
        """When the first computation for them began, on the monotonic clock in seconds; None before."""

    @property
    def stem(self) -> Tokens:
        """The tokens of the stem; unknown ones are 0."""

    @property
    def tokens(self) -> Tokens:
        """The tokens of the texts scored so far. Each text counts with its whole prompt, the stem as cached."""

    async def read_stem(self) -> None:
        """Read the stem, before the first score."""

    async def score_labels(self, index: int, labels: Sequence[str]) -> list[float]:
        """Score each label as the next token after the prompt with this index."""


class SharedPrompts(Protocol):
    """Prompts that begin with the same stem, in their engine's form."""

    @property
    def size(self) -> int:
        """The number of tokens that their texts keep in memory at once, for admission."""

    @property
    def opening_size(self) -> int:
        """See EncodedPrompt."""

    def open(self, share: Share) -> AbstractContextManager[SharedTexts]:
        """Open the texts; leaving frees their memory."""


class TextEngine(Protocol):
    """An engine that reads and writes several texts at once."""

    def labels(self, count: int) -> list[str]:
        """Return labels for so many choices: A to Z, or pairs of letters for more. Raises TooManyChoices."""

    async def encode(self, prompt: Prompt, *, room: int) -> EncodedPrompt:
        """Encode a prompt, outside the event loop, for a text that may grow by `room` tokens. Raises PromptTooLong."""

    def keep_openings(self, prompts: Iterable[Prompt], share: Share) -> AbstractContextManager[None]:
        """Keep the openings of these prompts, so that each is read once.

        Leaving frees those that nothing else keeps.
        """

    async def encode_shared(self, prompts: Sequence[Prompt]) -> SharedPrompts:
        """Encode prompts that differ only after their stem, outside the event loop. Raises PromptTooLong."""

    def shared_size(self, size: int, count: int) -> int:
        """Estimate the size of `count` shared prompts of about `size` tokens each."""
