"""A backup's content: compressed JSON lines, one object each, and a manifest of all objects as the last line.

The manifest has the SHA-256 of each line before it. It comes last, so a truncated file has none.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from mcq_operator import __version__
from mcq_operator.api import Manifest, names
from mcq_operator.api.kinds import CONFIG_MAP

from .errors import CorruptError

FORMAT = 1
"""The version of the format; it grows when a release could misread another release's backup."""
MANIFEST = "manifest"
LONGEST_LINE = 16 * 2**20
"""Bytes. An object has at most a few MiB, and the manifest of a hundred thousand objects fits."""


class ManifestEntry(BaseModel):
    """One object in a backup's manifest."""

    kind: str
    name: str
    sha256: str


class BackupManifest(BaseModel):
    """The last line of a backup: where it is from, and its objects."""

    format: int = FORMAT
    operator: str = __version__
    namespace: str
    created: str
    objects: list[ManifestEntry] = []

    def count(self, kind: str) -> int:
        """Return the number of objects of a kind; all report ConfigMaps of one exam count as one."""
        object_names = [each.name for each in self.objects if each.kind == kind]
        return len(object_names) - sum(
            kind == CONFIG_MAP.kind and names.is_shard_results_name(name) for name in object_names
        )


class Writer:
    """Writes a backup into a file, one object at a time."""

    def __init__(self, file: IO[bytes], *, namespace: str, created: str) -> None:
        """Start a backup of `namespace`."""
        self.manifest = BackupManifest(namespace=namespace, created=created)
        # No timestamp, so that equal content gives equal files.
        self._packed = gzip.GzipFile(fileobj=file, mode="wb", mtime=0)

    def add(self, item: Manifest) -> None:
        """Add one object."""
        line = _line(item)
        entry = ManifestEntry(kind=item["kind"], name=item["metadata"]["name"], sha256=_digest(line))
        self.manifest.objects.append(entry)
        self._packed.write(line)

    def close(self) -> None:
        """Write the manifest and close the file. Before that, the file is not a valid backup."""
        self._packed.write(_line({MANIFEST: self.manifest.model_dump()}))
        self._packed.close()


def digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of the whole file."""
    file.seek(0)
    sha256 = hashlib.sha256()
    while chunk := file.read(2**20):
        sha256.update(chunk)
    return sha256.hexdigest()


def verify(file: IO[bytes], *, of: str) -> BackupManifest:
    """Compare every line of a file with its manifest, and return the manifest. Raises CorruptError.

    `of` is the file's SHA-256 according to its name.
    """
    if (actual := digest(file)) != of:
        message = f"its SHA-256 is {actual[:16]}…, but its name says {of[:16]}…: it was changed or truncated"
        raise CorruptError(message)
    last: dict[str, Any] = {}
    digests = []
    for last, line in _lines(file):  # noqa: B007 - the last line is used after the loop
        digests.append(line)
    raw = last.get(MANIFEST)
    if not isinstance(raw, dict):
        message = "it has no manifest at its end: it was truncated"
        raise CorruptError(message)
    if raw.get("format") != FORMAT:
        message = (
            f"it has format {raw.get('format')} of operator {raw.get('operator')}; this operator,"
            f" {__version__}, reads format {FORMAT}: use the operator that wrote it"
        )
        raise CorruptError(message)
    try:
        manifest = BackupManifest.model_validate(raw)
    except ValidationError as error:
        message = f"its manifest can't be read: {error.errors()[0]['msg']}"
        raise CorruptError(message) from error
    if [each.sha256 for each in manifest.objects] != digests[:-1]:
        message = "its objects differ from its manifest"
        raise CorruptError(message)
    return manifest


def objects(file: IO[bytes]) -> Iterator[Manifest]:
    """Yield the objects of a verified file, one at a time."""
    for item, _ in _lines(file):
        if MANIFEST not in item:
            yield item


def _lines(file: IO[bytes]) -> Iterator[tuple[dict[str, Any], str]]:
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            while line := packed.readline(LONGEST_LINE + 1):
                yield _parse(line), _digest(line)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        message = f"it can't be unpacked: {error}"
        raise CorruptError(message) from error


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        message = f"a line has more than {LONGEST_LINE >> 20} MiB"
        raise ValueError(message)
    item = json.loads(line)
    if not isinstance(item, dict):
        message = "a line is not a JSON object"
        raise ValueError(message)
    return item


def _line(item: dict[str, Any]) -> bytes:
    return json.dumps(item, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
