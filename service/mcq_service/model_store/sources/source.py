"""The protocol of a source of weights."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from mcq_service.model_store.catalogue import GGUFWeights

Report = Callable[[float | None, str], None]
"""Called with the fraction fetched (None if unknown) and one line for a person."""


@dataclass(frozen=True)
class Offer:
    """A model that a source offers: `bytes` to fetch with `parameters` weights, stored under `key`."""

    key: str
    revision: str
    bytes: int
    parameters: int


@dataclass(frozen=True)
class Fetched:
    """A model's files on disk, complete and verified; `digest` covers all. `gguf` is set for a GGUF file."""

    directory: Path
    weights: tuple[Path, ...]
    digest: str
    gguf: GGUFWeights | None = None


class Source(Protocol):
    """A source of weights."""

    name: str

    def offer(self) -> Offer:
        """Look up the model. Raises SourceUnreachable, ModelNotFound or DigestMismatch."""

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Fetch the offered files into a directory; resume an earlier call's download.

        Raises SourceUnreachable or DigestMismatch.
        """


class Sized(Protocol):
    """A file of known size."""

    @property
    def name(self) -> str:
        """Its name in the repository."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


File = TypeVar("File", bound=Sized)


def with_progress(
    files: Sequence[File], model: str, report: Report
) -> Iterator[tuple[File, Callable[[int], None]]]:
    """Yield each file with a callback for its fetched bytes; `report` gets the fraction of all files."""
    total, done = sum(file.size for file in files), 0
    for file in files:
        detail = f"{file.name} of {model} ({total / 1e9:.1f} GB)"
        yield file, partial(_report_fraction, report, done, total, detail)
        done += file.size


def _report_fraction(report: Report, before: int, total: int, detail: str, size: int) -> None:
    report((before + size) / total, detail)
