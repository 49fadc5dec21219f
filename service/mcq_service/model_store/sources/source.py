"""What a source of weights can do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from mcq_service.model_store.catalogue import GGUFWeights

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
    """A model's files on disk, whole and verified; `digest` is of all. `gguf` is set for a GGUF file."""

    directory: Path
    weights: tuple[Path, ...]
    digest: str
    gguf: GGUFWeights | None = None


class Source(Protocol):
    """A place that weights come from."""

    name: str

    def offer(self) -> Offer:
        """Ask for the model. Raises SourceUnreachable, ModelNotFound or DigestMismatch."""

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Fetch what was offered into a directory, going on from what an earlier call left there.

        Raises SourceUnreachable or DigestMismatch.
        """


class Sized(Protocol):
    """A file of `size` bytes."""

    @property
    def name(self) -> str:
        """Its name in the repository."""

    @property
    def size(self) -> int:
        """How many bytes it has."""


File = TypeVar("File", bound=Sized)


def each(files: Sequence[File], model: str, report: Report) -> Iterator[tuple[File, Callable[[int], None]]]:
    """Each file of a model, with whom to tell how many of its bytes are there: `report` hears the share of all."""
    total, done = sum(file.size for file in files), 0
    for file in files:
        detail = f"{file.name} of {model} ({total / 1e9:.1f} GB)"
        yield file, partial(_share, report, done, total, detail)
        done += file.size


def _share(report: Report, before: int, total: int, detail: str, size: int) -> None:
    report((before + size) / total, detail)
