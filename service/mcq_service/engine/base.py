"""What every local engine can do: read tokens of several texts in one step. All calls come from one thread.

An engine knows tokens and logits, no questions and no letters; who is read in which step is the scheduler's matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence as Items

    import numpy as np
    from numpy.typing import NDArray


class Sequence(Protocol):
    """One text being read and written: an engine's handle to the keys and values of its tokens."""

    length: int
    """Tokens read so far, shared ones among them."""


S = TypeVar("S", bound=Sequence)


class Logits(Enum):
    """Of which of a feed's tokens all logits are wanted, over the whole vocabulary."""

    NONE = "none"
    LAST = "last"
    EVERY = "every"


@dataclass(frozen=True, slots=True)
class Feed(Generic[S]):
    """Tokens for one sequence to read in one step, at least one, and what is wanted of them.

    `score` are token ids whose logits after the last token are wanted, `greedy` says whether the most probable next
    token is. A sequence is in a step at most once.
    """

    sequence: S
    tokens: Items[int]
    score: Items[int] = ()
    greedy: bool = False
    logits: Logits = Logits.NONE


@dataclass(frozen=True, slots=True)
class Output:
    """What was wanted of a feed; what was not is empty.

    `scores` are logits, one for each id in `score`. `logits` has shape (1, vocabulary) for LAST, (tokens, vocabulary)
    for EVERY.
    """

    scores: Items[float] = ()
    token: int | None = None
    logits: NDArray[np.float32] | None = None


class Engine(Protocol[S]):
    """One loaded model."""

    name: str
    """The kind of engine, with what it computes in: `transformers (bfloat16)`."""
    context_length: int
    """The most tokens a sequence may have."""

    def share(self, tokens: Items[int]) -> None:
        """Read a prefix once; sequences opened with tokens that begin with it start after it."""

    def open(self, tokens: Items[int], *, room: int) -> S:
        """A sequence for a text that begins with `tokens` and may grow by `room` more; nothing is read yet.

        Raises MemoryError where there is no memory for it. `length` says how many of the tokens it has already, those
        of the longest shared prefix: at most all but one.
        """

    def fork(self, sequence: S, *, room: int) -> S:
        """A sequence that shares what `sequence` has read and may grow by `room` tokens. The first must not go on."""

    def close(self, sequence: S) -> None:
        """Give back its memory, once its forks are closed as well; closing twice does nothing."""

    def step(self, feeds: Items[Feed[S]]) -> list[Output]:
        """Read the tokens of each feed, in one go; the outputs are in the order of the feeds.

        Raises MemoryError where there is no memory for it. A step that raises has read nothing: its sequences are as
        they were, and the step, or a part of it, can be repeated.
        """
