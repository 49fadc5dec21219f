"""A bucket or directory, read by obstore, whose failures are said here in the model store's terms."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from mcq_service.model_store.errors import (
    AccessDenied,
    BadReference,
    DigestMismatch,
    ModelNotFound,
    SourceChanged,
    SourceError,
    SourceUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from mcq_service.model_store.reference import ModelRef

LARGEST_TEXT = 64 << 20
"""Bytes of a file that is read at once."""
CHUNK = 1 << 18
"""Bytes that are written at a time; of an attempt that fails, fewer than that are lost."""
_CLIENT: ClientConfig = {
    "allow_http": True,
    "connect_timeout": "10s",
    "read_timeout": "30s",
    "timeout": "7 days",  # of a whole answer, which is gigabytes
}
_RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_URL = re.compile(r"https?://[^\s/]+(/\S*)?")
_ADVICE = {
    "s3": "check the bucket, the network, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for another "
    "server than Amazon's, AWS_ENDPOINT_URL",
    "file": "check that the volume is mounted and may be read",
}


@dataclass(frozen=True)
class Entry:
    """A file as it was when it was looked at.

    `version` changes with its content; `match` is its ETag, where the server will compare it.
    """

    name: str
    size: int
    version: str
    match: str | None


class Place:
    """A directory of files. What fails is raised as a SourceError, and wrong settings as BadReference."""

    def __init__(self, ref: ModelRef) -> None:
        """Name it; nothing is asked yet."""
        self._address = ref.address
        self._scheme = ref.scheme
        self._store = _store(ref)

    def look(self, name: str) -> Entry | None:
        """A file's size and version; None where there is none, or none that is shown."""
        with self._translated():
            try:
                return self._entry(name, obstore.head(self._store, name))
            except (FileNotFoundError, PermissionDeniedError):
                # S3 forbids to look at what is not there, unless one may list the bucket.
                return None

    def read(self, name: str) -> tuple[Entry, bytes] | None:
        """A small file; None where the directory has none."""
        with self._translated():
            try:
                found = obstore.get(self._store, name)
                if found.meta["size"] > LARGEST_TEXT:
                    raise too_large(name, self._address)
                return self._entry(name, found.meta), bytes(found.bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def stream(self, entry: Entry, begin: int) -> tuple[int, Iterator[bytes]]:
        """The bytes of the very file that was looked at, and where they begin.

        That is 0 where the server sends files as a whole only. Connections that break are made again, a few times.
        """
        with self._translated():
            found = self._got(entry, begin)
        return found.range[0], self._chunks(found)

    def _got(self, entry: Entry, begin: int) -> GetResult:
        options: GetOptions = {"if_match": entry.match} if entry.match else {}
        if begin:
            try:
                return obstore.get(self._store, entry.name, options={**options, "range": {"offset": begin}})
            except (PreconditionError, FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
                raise
            except BaseError:
                # Some servers answer a range with the whole file, or as if they did, which obstore refuses. If it is
                # something else that fails, it fails again.
                pass
        return obstore.get(self._store, entry.name, options=options)

    def _chunks(self, found: GetResult) -> Iterator[bytes]:
        chunks = found.stream(min_chunk_size=CHUNK)
        while True:
            with self._translated():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _entry(self, name: str, meta: ObjectMeta) -> Entry:
        tag = meta["e_tag"]
        # A directory's has the inode, which differs between mounts of the same files.
        version = tag if tag and self._scheme != "file" else meta["last_modified"].isoformat()
        return entry(name, meta["size"], version, tag)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> SourceError:
        advice = _ADVICE[self._scheme]
        if isinstance(error, FileNotFoundError):
            return ModelNotFound(f"{self._address} is not there ({said(error)}): {advice}.")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return AccessDenied(
                f"{self._address} may not be read ({said(error)}): {advice}, or what their owner may read."
            )
        if isinstance(error, PreconditionError):
            return changed(self._address)
        return SourceUnreachable(
            f"{self._address} can't be read now ({said(error)}): {advice}, then run this again: what was fetched is "
            "kept."
        )


def entry(name: str, size: int, version: str, tag: str | None) -> Entry:
    """A file with its ETag, which is compared unless it is weak: a weak one never matches."""
    return Entry(
        name=name, size=size, version=version, match=tag if tag and not tag.startswith("W/") else None
    )


def too_large(name: str, address: str) -> DigestMismatch:
    """The error for a small file that is none."""
    return DigestMismatch(f"{name} of {address} is larger than {LARGEST_TEXT >> 20} MiB: it is no model's.")


def changed(address: str) -> SourceChanged:
    """The error for a file that is not the one that was looked at."""
    return SourceChanged(
        f"{address} changed while it was being fetched, and old and new were not mixed: run this again."
    )


def said(error: Exception) -> str:
    """What obstore says, in one line, with S3's code and message, an untrusted certificate, or a name without address.

    The rest of its words is its own source.
    """
    text, _, source = str(error).partition("Debug source:")
    line = text.strip().partition("\n")[0].partition("<")[0].rstrip(" :")
    words = [line, *re.findall(r"<(?:Code|Message)>([^<]*)</", text)]
    words += re.findall(r"(InvalidCertificate)\(", source) + re.findall(r'error: "([^"]*)"', source)
    return ": ".join(words)[:500]


def _store(ref: ModelRef) -> ObjectStore:
    if ref.scheme == "s3":
        bucket, _, prefix = ref.name.partition("/")
        return s3(bucket, prefix)
    path = Path(ref.address.removeprefix("file://"))
    if not path.is_dir():
        raise ModelNotFound(f"There is no directory {path}: {_ADVICE['file']}.")  # noqa: EM102
    return LocalStore(path)


def s3(bucket: str, prefix: str = "") -> S3Store:
    """A bucket, with credentials, region and endpoint from the AWS_* variables. Raises BadReference for bad ones."""
    for name, value in os.environ.items():
        if name.startswith("AWS_") and (value != value.strip() or not value.isprintable()):
            raise BadReference(f"{name} begins or ends with a space or a new line: set it without.")  # noqa: EM102
        if name in _ENDPOINTS and not _URL.fullmatch(value):
            raise BadReference(f"{name}={value!r} is no URL: give one like https://s3.example.com.")  # noqa: EM102
    return S3Store(bucket, prefix=prefix or None, client_options=_CLIENT, retry_config=_RETRIES)
