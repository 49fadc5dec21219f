"""The manifest of a prepared directory: written last, read first."""

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
    """The origin of a prepared model, and its files.

    `requested` are the revisions that were asked for, `revision` is the actual one: a commit, or an id for the version
    of the files in a bucket, on a web server or in a directory. `digest` covers the source's files; see
    `sources.model_files.digest`.

    Format 1 was the same, but its digest covered only the weights.
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

    def matches(self, ref: ModelRef, precision: Precision) -> bool:
        """Return whether this is the model of `ref` in `precision`."""
        return (
            self.uri == ref.address
            and ref.requested_revision in {None, *self.requested, self.revision}
            and ref.digest in {None, self.digest}
            and self.precision == precision
        )

    def damage(self, directory: Path, *, rehash: bool) -> str | None:
        """Describe the first damaged file in `directory`, by size and, with `rehash`, content; None without damage."""
        for name, entry in self.files.items():
            path = directory / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry.size:
                return f"{name} has {path.stat().st_size} bytes, not {entry.size}"
            if rehash and files.sha256(path) != entry.sha256:
                return f"{name} does not have its original SHA-256"
        return None


def entries(directory: Path) -> dict[str, FileEntry]:
    """Return an entry for each file in `directory`, except the manifest."""
    return {
        path.name: FileEntry(size=path.stat().st_size, sha256=files.sha256(path))
        for path in sorted(directory.iterdir())
        if path.name != NAME
    }


def read(directory: Path) -> Manifest | None:
    """Return the manifest of `directory`; None without one, or for a format of another release."""
    try:
        return Manifest.model_validate_json((directory / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def write(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of `directory` atomically."""
    partial = directory / f".{NAME}"
    partial.write_text(manifest.model_dump_json(indent=2) + "\n")
    partial.replace(directory / NAME)
