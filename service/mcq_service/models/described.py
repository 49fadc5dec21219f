"""What is said of a model wherever it is: prepared here, or loaded by another server."""

from typing import Protocol


class Described(Protocol):
    """The model that answers; see PreparedModel. What is not known is empty."""

    @property
    def uri(self) -> str:
        """Where it is from."""

    @property
    def revision(self) -> str:
        """Which of its versions."""

    @property
    def digest(self) -> str:
        """Of its source's files: configuration, tokenizer and weights."""

    @property
    def precision(self) -> str:
        """What its weights are stored in."""
