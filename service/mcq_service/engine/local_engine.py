"""The protocol of a local engine: read tokens of several texts in one step. One thread makes all calls.

An engine knows tokens and logits, but no questions and no letters. The scheduler decides which texts a step reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as Items

    import numpy as np
    from numpy.typing import NDArray


class Sequence(Protocol):
    """An engine's handle to the keys and values of one text."""

    length: int
    """Tokens read so far, including those of shared prefixes."""


S = TypeVar("S", bound=Sequence)


class Logits(Enum):
    """The tokens of a batch item that need logits over the whole vocabulary."""

    NONE = "none"
    LAST = "last"
    EVERY = "every"


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[S]):
    """One sequence's part of a step: tokens to read, at least one, and the outputs it needs.

    `score` are token ids whose logits after the last token are needed. `greedy` is the number of last tokens after
    each of which the most probable next token is needed. A step holds a sequence at most once.
    """

    sequence: S
    tokens: Items[int]
    score: Items[int] = ()
    greedy: int = 0
    logits: Logits = Logits.NONE


@dataclass(frozen=True, slots=True)
class Output:
    """The outputs that a batch item asked for; the others are empty.

    `scores` are logits, one for each id in `score`. `logits` has shape (1, vocabulary) for LAST, (tokens, vocabulary)
    for EVERY.
    """

    scores: Items[float] = ()
    greedy: Items[int] = ()
    logits: NDArray[np.float32] | None = None


def longest_prefix(prefixes: Iterable[tuple[list[int], S]], tokens: Items[int]) -> S | None:
    """Return the longest cached prefix of `tokens` that is shorter than they are; None without one."""
    matching = [
        each
        for prefix, each in prefixes
        if each.length < len(tokens) and list(tokens[: each.length]) == prefix
    ]
    return max(matching, key=lambda each: each.length, default=None)


class Engine(Protocol[S]):
    """One loaded model."""

    name: str
    """The kind of engine and its number format: `transformers (bfloat16)`."""
    context_length: int
    """The largest number of tokens in a sequence."""
    cheap_tokens: int
    """A step of this many tokens takes hardly longer than a step of one, because reading the weights takes the time.

    1 if results depend on the number of tokens in a step.
    """

    def cache_prefix(self, tokens: Items[int]) -> None:
        """Read a prefix once. Sequences whose tokens begin with it then start after it."""

    def open(self, tokens: Items[int], *, room: int) -> S:
        """Open a sequence for a text that begins with `tokens` and may grow by `room` more; read nothing yet.

        Its `length` counts the tokens that the longest shared prefix already covers: at most all but one.
        Raises MemoryError if there is no memory for it.
        """

    def fork(self, sequence: S, *, room: int) -> S:
        """Open a sequence that shares what `sequence` has read and may grow by `room` tokens.

        `sequence` must not grow any more.
        """

    def close(self, sequence: S) -> None:
        """Free its memory, once its forks are closed too. Closing twice does nothing."""

    def forget(self, sequence: S, count: int) -> None:
        """Drop the last `count` tokens that it has read itself. It must have no forks."""

    def step(self, items: Items[BatchItem[S]]) -> list[Output]:
        """Read the tokens of all items at once; outputs are in the order of the items.

        Raises MemoryError if there is no memory for the step. A step that raises has read nothing: its sequences are
        unchanged, and the step or a part of it can be repeated.
        """
