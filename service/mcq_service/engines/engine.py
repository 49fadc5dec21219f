"""What every engine can do. All calls come from one thread, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence as Items


class PromptTooLong(Exception):  # noqa: N818 - says what happened
    """The prompt and the room for its answer do not fit into the context; the message has both in tokens."""


class Sequence(Protocol):
    """One text being read and written: an engine's handle."""

    prompt_tokens: int
    """Tokens of the whole prompt."""
    cached_tokens: int
    """Of these, those that were not computed anew."""
    completion_tokens: int
    """Tokens that the model chose."""


S = TypeVar("S", bound=Sequence)


class Engine(Protocol[S]):
    """One loaded model."""

    name: str
    """The model, as responses name it."""

    def start(self, prefix: str, user: str, suffix: str, *, room: int) -> S:
        """Read a prompt (one prefill), with `room` tokens left to write. Raises PromptTooLong.

        Nothing in `user`, a client's text, becomes a special token.
        """

    def probabilities(self, sequence: S, labels: Items[str]) -> list[float]:
        """How probable each letter (A to Z) is as the next token; they sum to 1 over those asked for."""

    def force(self, sequence: S, text: str) -> None:
        """Go on with this text, as if the model had written it."""

    def decode(self, sequence: S) -> str | None:
        """Let the model write one token, the most probable; returns its text, or None where it ends its turn."""
