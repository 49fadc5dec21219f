"""A bucket or a local directory, read with obstore; its errors become the model store's."""

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
"""Bytes that are written at a time; a failed attempt loses fewer than that."""
_CLIENT: ClientConfig = {
    "allow_http": True,
    "connect_timeout": "10s",
    "read_timeout": "30s",
    "timeout": "7 days",  # for a whole response of gigabytes
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
class FileInfo:
    """A file's metadata at the time of the lookup.

    `version` changes with its content; `match` is its ETag, if the server can compare it.
    """

    name: str
    size: int
    version: str
    match: str | None


class ObjectStoreDirectory:
    """A directory of files. Failures are raised as SourceError, and wrong settings as BadReference."""

    def __init__(self, ref: ModelRef) -> None:
        """Use the directory of `ref`; send no request yet."""
        self._address = ref.address
        self._scheme = ref.scheme
        self._store = _store(ref)

    def stat(self, name: str) -> FileInfo | None:
        """Return a file's metadata; None if it does not exist or is not visible."""
        with self._translated():
            try:
                return self._file_info(name, obstore.head(self._store, name))
            except (FileNotFoundError, PermissionDeniedError):
                # S3 denies access to a missing object, unless the user may list the bucket.
                return None

    def read(self, name: str) -> tuple[FileInfo, bytes] | None:
        """Read a small file; return None if it does not exist."""
        with self._translated():
            try:
                result = obstore.get(self._store, name)
                if result.meta["size"] > LARGEST_TEXT:
                    raise file_too_large(name, self._address)
                return self._file_info(name, result.meta), bytes(result.bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def stream(self, file: FileInfo, begin: int) -> tuple[int, Iterator[bytes]]:
        """Stream a file from `begin`, if it is unchanged since the lookup; return the actual beginning too.

        That is 0 if the server sends only whole files. A broken connection is restored a few times.
        """
        with self._translated():
            result = self._get(file, begin)
        return result.range[0], self._chunks(result)

    def _get(self, file: FileInfo, begin: int) -> GetResult:
        options: GetOptions = {"if_match": file.match} if file.match else {}
        if begin:
            try:
                return obstore.get(self._store, file.name, options={**options, "range": {"offset": begin}})
            except (PreconditionError, FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
                raise
            except BaseError:
                # Some servers answer a range request with the whole file, or with the status of a whole file, and
                # obstore rejects both. Any other error occurs again below.
                pass
        return obstore.get(self._store, file.name, options=options)

    def _chunks(self, result: GetResult) -> Iterator[bytes]:
        chunks = result.stream(min_chunk_size=CHUNK)
        while True:
            with self._translated():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _file_info(self, name: str, meta: ObjectMeta) -> FileInfo:
        tag = meta["e_tag"]
        # A local file's ETag contains the inode, which differs between mounts of the same files.
        version = tag if tag and self._scheme != "file" else meta["last_modified"].isoformat()
        return file_info(name, meta["size"], version, tag)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._source_error(error) from error

    def _source_error(self, error: Exception) -> SourceError:
        advice = _ADVICE[self._scheme]
        if isinstance(error, FileNotFoundError):
            return ModelNotFound(f"{self._address} does not exist ({error_text(error)}): {advice}.")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return AccessDenied(
                f"{self._address} denies access ({error_text(error)}): {advice}, or grant their owner access."
            )
        if isinstance(error, PreconditionError):
            return source_changed(self._address)
        return SourceUnreachable(
            f"{self._address} can't be read now ({error_text(error)}): {advice}, then run this again: the downloaded "
            "data is kept."
        )


def file_info(name: str, size: int, version: str, tag: str | None) -> FileInfo:
    """Return a file's metadata; ignore a weak ETag, which never matches."""
    return FileInfo(
        name=name, size=size, version=version, match=tag if tag and not tag.startswith("W/") else None
    )


def file_too_large(name: str, address: str) -> DigestMismatch:
    """Return the error for a small file that is too large."""
    return DigestMismatch(
        f"{name} of {address} is larger than {LARGEST_TEXT >> 20} MiB: it is not a model's file."
    )


def source_changed(address: str) -> SourceChanged:
    """Return the error for a file that changed since the lookup."""
    return SourceChanged(
        f"{address} changed during the download; old and new files were not mixed: run this again."
    )


def error_text(error: Exception) -> str:
    """Return obstore's message in one line, with S3's code and message, an untrusted certificate or a DNS error.

    The rest of its message is debugging output.
    """
    text, _, source = str(error).partition("Debug source:")
    line = text.strip().partition("\n")[0].partition("<")[0].rstrip(" :")
    words = [line, *re.findall(r"<(?:Code|Message)>([^<]*)</", text)]
    words += re.findall(r"(InvalidCertificate)\(", source) + re.findall(r'error: "([^"]*)"', source)
    return ": ".join(words)[:500]


def _store(ref: ModelRef) -> ObjectStore:
    if ref.scheme == "s3":
        bucket, _, prefix = ref.name.partition("/")
        return s3_store(bucket, prefix)
    path = Path(ref.address.removeprefix("file://"))
    if not path.is_dir():
        raise ModelNotFound(f"There is no directory {path}: {_ADVICE['file']}.")
    return LocalStore(path)


def s3_store(bucket: str, prefix: str = "") -> S3Store:
    """Return a bucket, with credentials, region and endpoint from the AWS_* variables. Raises BadReference."""
    for name, value in os.environ.items():
        if name.startswith("AWS_") and (value != value.strip() or not value.isprintable()):
            raise BadReference(f"{name} begins or ends with a space or a new line: remove it.")
        if name in _ENDPOINTS and not _URL.fullmatch(value):
            raise BadReference(f"{name}={value!r} is not a URL: give one like https://s3.example.com.")
    return S3Store(bucket, prefix=prefix or None, client_options=_CLIENT, retry_config=_RETRIES)
