"""Fetch an exam's file of questions from a path, an http(s) URL or an s3 URL, and check its digest.

The operator mounts a ConfigMap as a file (`desired/exam`). `exam import` converts CSV first.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from mcq_eval.errors import ExamUnavailable, ExamUnreadable
from mcq_service.model_store import BadReference
from mcq_service.model_store.sources.object_store import error_text, s3_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_BYTES = 64 * 2**20
"""The largest size of a file: some hundred thousand questions."""
_SECONDS = 60.0
_PERMANENT = (
    BadReference, FileNotFoundError, PermissionDeniedError, UnauthenticatedError, InvalidPathError,
)  # fmt: skip
"""Errors that another try would not change."""


async def fetch(source: str, directory: Path, *, digest: str | None = None) -> Path:
    """Return the path of the file at a path or URL; a download goes to `directory`. `digest` is sha256:….

    s3:// takes credentials, region and endpoint from the usual AWS_* variables. Raises ExamUnreadable if the file is
    missing or has another digest, and ExamUnavailable if a later try may succeed.
    """
    scheme = urlsplit(source).scheme
    if scheme in {"http", "https"}:
        path = await _download(source, _http(source), directory)
    elif scheme == "s3":
        path = await _download(source, _s3(source), directory)
    else:
        path = Path(source)
    _check(path, source, digest)
    return path


async def _download(source: str, chunks: AsyncIterator[bytes], directory: Path) -> Path:
    path = directory / (Path(urlsplit(source).path).name or "questions.jsonl")
    size = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > MAX_BYTES:
                raise ExamUnreadable(f"{source} is larger than {MAX_BYTES >> 20} MiB.")
            file.write(chunk)
    return path


async def _http(source: str) -> AsyncIterator[bytes]:
    try:
        async with (
            httpx2.AsyncClient(follow_redirects=True, timeout=_SECONDS) as client,
            client.stream("GET", source) as response,
        ):
            code = response.status_code
            if code != httpx2.codes.OK:
                later = code >= httpx2.codes.INTERNAL_SERVER_ERROR or code == httpx2.codes.TOO_MANY_REQUESTS
                raise (ExamUnavailable if later else ExamUnreadable)(f"{source} answers {code}.")
            async for chunk in response.aiter_bytes():
                yield chunk
    except httpx2.HTTPError as error:
        raise ExamUnavailable(f"{source} can't be fetched: {str(error) or type(error).__name__}") from error


async def _s3(source: str) -> AsyncIterator[bytes]:
    """Yield the file's bytes.

    It uses obstore's blocking functions: the awaitable ones need threads that may outlive a command's interpreter,
    which then ends by SIGABRT (PyO3/pyo3-async-runtimes#40).
    """
    parts = urlsplit(source)
    try:
        response = await asyncio.to_thread(obstore.get, s3_store(parts.netloc), parts.path.lstrip("/"))
        chunks = iter(response.stream())
        while chunk := await asyncio.to_thread(next, chunks, b""):
            yield bytes(chunk)
    except _PERMANENT as error:
        raise ExamUnreadable(f"{source} can't be read: {error_text(error)}") from error
    except BaseError as error:
        raise ExamUnavailable(f"{source} can't be fetched: {error_text(error)}") from error


def _check(path: Path, source: str, digest: str | None) -> None:
    if digest is None:
        return
    try:
        actual = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        raise ExamUnreadable(f"{source} can't be read: {error.strerror}.") from error
    if actual != digest:
        raise ExamUnreadable(f"{source} has the digest {actual}, not {digest}.")
