"""What a source of weights can do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcq_service.models.catalogue import PackagedWeights

Report = Callable[[float | None, str], None]
"""Told the fraction fetched (None where unknown) and one line for a person."""


@dataclass(frozen=True)
class Offer:
    """What a source would deliver: `bytes` to fetch, holding `parameters` weights, kept under `key`."""

    key: str
    revision: str
    bytes: int
    parameters: int


@dataclass(frozen=True)
class Fetched:
    """Weights on disk, whole and verified; `digest` is theirs. `packaged` is set for a GGUF file."""

    directory: Path
    weights: tuple[Path, ...]
    digest: str
    packaged: PackagedWeights | None = None


class Source(Protocol):
    """A place that weights come from."""

    name: str

    def offer(self) -> Offer:
        """Ask for the model. Raises SourceUnreachable, ModelNotFound or DigestMismatch."""

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Fetch what was offered into a directory, going on from what an earlier call left there.

        Raises SourceUnreachable or DigestMismatch.
        """
