"""Where an exam's file of questions comes from: a path, an http(s) URL or an s3 URL, checked by its digest."""

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

from mcq_service.exams.errors import ExamUnavailable, ExamUnreadable
from mcq_service.model_store import BadReference
from mcq_service.model_store.sources.object_store import error_text as said
from mcq_service.model_store.sources.object_store import s3_store as s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGEST = 64 * 2**20
"""Bytes of a file of questions: some hundred thousand of them."""
_SECONDS = 60.0
_MISTAKEN = (
    BadReference, FileNotFoundError, PermissionDeniedError, UnauthenticatedError, InvalidPathError,
)  # fmt: skip
"""What another try would not mend."""


async def fetched(source: str, directory: Path, *, digest: str | None = None) -> Path:
    """The file of questions at a path or URL, in `directory` if it has to be fetched.

    s3:// takes credentials, region and endpoint from the usual AWS_* variables. `digest`, sha256:…, is checked. Raises
    ExamUnreadable where the file is not there or not the one, and ExamUnavailable where it may be another time.
    """
    scheme = urlsplit(source).scheme
    if scheme in {"http", "https"}:
        path = await _written(source, _http(source), directory)
    elif scheme == "s3":
        path = await _written(source, _s3(source), directory)
    else:
        path = Path(source)
    _check(path, source, digest)
    return path


async def _written(source: str, chunks: AsyncIterator[bytes], directory: Path) -> Path:
    path = directory / (Path(urlsplit(source).path).name or "questions.jsonl")
    size = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > LARGEST:
                raise ExamUnreadable(f"{source} is larger than {LARGEST >> 20} MiB.")  # noqa: EM102
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
                raise (ExamUnavailable if later else ExamUnreadable)(f"{source} answers {code}.")  # noqa: EM102
            async for chunk in response.aiter_bytes():
                yield chunk
    except httpx2.HTTPError as error:
        raise ExamUnavailable(f"{source} can't be fetched: {str(error) or type(error).__name__}") from error  # noqa: EM102


async def _s3(source: str) -> AsyncIterator[bytes]:
    """The file's bytes.

    By obstore's blocking functions: its awaitable ones are set by threads that may outlive a command's interpreter,
    which then ends by SIGABRT (PyO3/pyo3-async-runtimes#40).
    """
    parts = urlsplit(source)
    try:
        found = await asyncio.to_thread(obstore.get, s3(parts.netloc), parts.path.lstrip("/"))
        chunks = iter(found.stream())
        while chunk := await asyncio.to_thread(next, chunks, b""):
            yield bytes(chunk)
    except _MISTAKEN as error:
        raise ExamUnreadable(f"{source} can't be read: {said(error)}") from error  # noqa: EM102
    except BaseError as error:
        raise ExamUnavailable(f"{source} can't be fetched: {said(error)}") from error  # noqa: EM102


def _check(path: Path, source: str, digest: str | None) -> None:
    if digest is None:
        return
    try:
        found = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        raise ExamUnreadable(f"{source} can't be read: {error.strerror}.") from error  # noqa: EM102
    if found != digest:
        raise ExamUnreadable(f"{source} is {found}, and not {digest} as was asked for.")  # noqa: EM102
