"""The store of backups, S3 or a directory. Only this module talks to it.

A put is atomic in both: an object exists as a whole or not at all.

All functions block. The threads behind obstore's awaitables may outlive the interpreter of a short command, which
then ends with SIGABRT (PyO3/pyo3-async-runtimes#40).
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from .backup_name import BackupName
from .errors import BackupError, CorruptError, MissingError, PersonNeededError, TryAgainError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_CLIENT: "ClientConfig" = {"timeout": "60s", "connect_timeout": "10s", "allow_http": True}
_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
_NO_ROOM = ("No space left on device", "Disk quota exceeded")
_INSTANCE_METADATA = "169.254.169.254"
"""A cloud machine's metadata server, the last source of credentials. If it does not answer, there are none."""


class BackupStore:
    """The backups below one address."""

    def __init__(self, store: LocalStore | S3Store, url: str) -> None:
        """Use `store`; messages call it `url`."""
        self._store = store
        self.url = url

    @classmethod
    def of(cls, url: str, *, create: bool = False) -> Self:
        """Open the store at s3://bucket/prefix, file:///directory or a path. Raises BackupError.

        S3 takes credentials, region and endpoint from the usual AWS_* variables, or from the workload's identity.
        `create` creates a missing directory.
        """
        parts = urlsplit(url)
        with _errors_of(url):
            if parts.scheme == "s3":
                return cls(_s3(parts.netloc, parts.path.strip("/")), url.rstrip("/"))
            if parts.scheme in {"", "file"} and not parts.netloc:
                return cls(_directory(Path(parts.path), create=create), url.rstrip("/") or "/")
        message = f"{url} can't store backups: give s3://BUCKET/PREFIX, file:///DIRECTORY or a directory."
        raise PersonNeededError(message)

    def names(self, namespace: str | None = None) -> list[BackupName]:
        """Return the backups of a namespace, or of all, the oldest first. Raises BackupError."""
        result: list[BackupName] = []
        with _errors_of(self.url):
            for listed in obstore.list(self._store, namespace):
                paths = (BackupName.parse(each["path"]) for each in listed)
                result += [name for name in paths if name and namespace in (None, name.namespace)]
        return sorted(result)

    def put(self, name: BackupName, content: IO[bytes]) -> None:
        """Write a backup as a whole or not at all. Raises BackupError."""
        content.seek(0)
        with _errors_of(self.url):
            obstore.put(self._store, name.path, content)

    def get(self, name: BackupName, into: IO[bytes]) -> None:
        """Read a backup into a file. Raises BackupError: CorruptError if it is shorter than the store says."""
        into.seek(0)
        into.truncate()
        with _errors_of(f"{self.url}/{name.path}"):
            response = obstore.get(self._store, name.path)
            for chunk in response.stream():
                _append(into, bytes(chunk))
        if into.tell() != response.meta["size"]:
            message = f"the store sent {into.tell()} of its {response.meta['size']} bytes"
            raise CorruptError(message)

    def delete(self, name: BackupName) -> None:
        """Delete a backup. Raises BackupError."""
        with _errors_of(self.url):
            obstore.delete(self._store, name.path)


def _s3(bucket: str, prefix: str) -> S3Store:
    if not bucket:
        message = "The address has no bucket: give s3://BUCKET/PREFIX."
        raise PersonNeededError(message)
    _check_variables()
    return S3Store(bucket, prefix=prefix or None, client_options=_CLIENT, retry_config=_RETRIES)


def _directory(path: Path, *, create: bool) -> LocalStore:
    if not create and not path.is_dir():
        message = f"There is no directory {path}."
        raise MissingError(message)
    return LocalStore(path.absolute(), mkdir=create)


def _append(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        message = f"Can't fetch a backup into {tempfile.gettempdir()}: {error.strerror}. Make room there."
        raise PersonNeededError(message) from error


@contextmanager
def _errors_of(url: str) -> Iterator[None]:
    """Turn a failure of the store at `url` into a BackupError."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise _error(error, url) from error


def _error(error: Exception, url: str) -> BackupError:
    """Return the BackupError of a store's failure, with what to do about it."""
    text = str(error).strip()
    summary = _summary(text)
    if any(each in text for each in _NO_ROOM):
        return PersonNeededError(f"{url} has no room for the backup: {summary}. Make room, or lower --keep.")
    if _INSTANCE_METADATA in text:
        advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the Pod a workload identity"
        return PersonNeededError(f"There are no credentials for {url}: {advice}. {summary}.")
    refused = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
    if refused or any(status in text for status in ("401 Unauthorized", "403 Forbidden")):
        advice = "Correct them, and allow them to list, read, write and delete"
        return PersonNeededError(f"{url} refuses these credentials: {summary}. {advice}.")
    if isinstance(error, FileNotFoundError) or "404 Not Found" in text:
        server = os.environ.get("AWS_ENDPOINT_URL", "its server")
        return MissingError(
            f"{url} does not exist: {summary}. Create the bucket at {server}, or correct the address."
        )
    if "redirect" in text:
        return PersonNeededError(f"{url} is in another region: set AWS_REGION to the bucket's. {summary}.")
    return TryAgainError(f"The request to {url} failed: {summary}. Nothing is half done: try again.")


def _summary(text: str) -> str:
    """Return the server's message, or the first line of the library's; its other lines show its source."""
    matches = (re.search(rf"<{name}>(.+?)</{name}>", text, re.DOTALL) for name in ("Code", "Message"))
    message = ": ".join(each[1].strip() for each in matches if each)
    return (message or text.partition("\n")[0])[:500].rstrip(".")


def _check_variables() -> None:
    """Refuse AWS_* variables with outer white space. Values from files end in a new line, which no server reports."""
    for name, value in os.environ.items():
        if name.startswith("AWS_") and value != value.strip():
            message = (
                f"{name} begins or ends with a space or a new line: correct the Secret, or the variable."
            )
            raise PersonNeededError(message)
