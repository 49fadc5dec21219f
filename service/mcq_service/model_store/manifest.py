"""What a prepared directory holds: written last, read first."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mcq_service.model_store import files
from mcq_service.model_store.precision import Precision
from mcq_service.model_store.reference import ModelRef

NAME = "manifest.json"


class FileEntry(BaseModel):
    """Size in bytes and SHA-256 (hex) of one file."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """Where a prepared model came from, and each of its files.

    `requested` are the revisions that were asked for, `revision` is what came: the commit a branch stood for, or
    what tells the files of a bucket, web server or directory from those that may replace them. `digest` is of the
    source's files: see `sources.layout.digest`.

    Format 1 was the same, with a digest of the weights alone.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[2] = 2
    uri: str
    requested: tuple[str, ...]
    revision: str
    origin: str
    digest: str
    precision: Precision
    created: datetime
    files: dict[str, FileEntry]

    def answers(self, ref: ModelRef, precision: Precision) -> bool:
        """Whether this is the model that is asked for."""
        return (
            self.uri == ref.address
            and ref.wanted_revision in {None, *self.requested, self.revision}
            and ref.digest in {None, self.digest}
            and self.precision == precision
        )

    def damage(self, directory: Path, *, rehash: bool) -> str | None:
        """What is wrong with the files in `directory` (sizes; contents if `rehash`); None if nothing."""
        for name, entry in self.files.items():
            path = directory / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry.size:
                return f"{name} has {path.stat().st_size} bytes, not {entry.size}"
            if rehash and files.sha256(path) != entry.sha256:
                return f"{name} does not have the SHA-256 it was made with"
        return None


def entries(directory: Path) -> dict[str, FileEntry]:
    """An entry for each file in `directory` but the manifest itself."""
    return {
        path.name: FileEntry(size=path.stat().st_size, sha256=files.sha256(path))
        for path in sorted(directory.iterdir())
        if path.name != NAME
    }


def read(directory: Path) -> Manifest | None:
    """The manifest of `directory`; None where there is none that this version understands."""
    try:
        return Manifest.model_validate_json((directory / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def write(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of `directory`, in one step."""
    partial = directory / f".{NAME}"
    partial.write_text(manifest.model_dump_json(indent=2) + "\n")
    partial.replace(directory / NAME)
