"""A directory on a web server, with the interface of `ObjectStoreDirectory`; HTTP errors as source errors."""

from __future__ import annotations

import re
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

import httpx2

from mcq_service.model_store.errors import (
    AccessDenied,
    DigestMismatch,
    SourceError,
    SourceUnreachable,
)
from mcq_service.model_store.retry import retry_after
from mcq_service.model_store.sources import object_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mcq_service.model_store.reference import ModelRef
    from mcq_service.model_store.sources.object_store import FileInfo

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses to retry later."""
_TIMEOUT = httpx2.Timeout(30, connect=10)
_ADVICE = "check the address, the network and the proxy settings"
_RANGE = re.compile(r"bytes (\d+)-")


def source_error(error: Exception, *, where: str, advice: str) -> SourceError:
    """Translate an HTTP error: SourceUnreachable if a retry may help."""
    message = str(error).partition("\n")[0] or type(error).__name__
    response = getattr(error, "response", None)
    kept = "the downloaded data is kept"
    if response is None or response.status_code in _TRANSIENT:
        return SourceUnreachable(
            f"{where} can't be reached ({message}): {advice}, then run this again: {kept}.",
            retry_after=retry_after(response.headers) if response is not None else None,
        )
    if response.status_code in {401, 403}:
        return AccessDenied(
            f"{where} denies access ({message}): it requires credentials, or refuses those that were sent."
        )
    return SourceError(f"{where} refuses ({message}): {advice}; {kept}.")


class WebDirectory:
    """Files below an address; see `ObjectStoreDirectory`."""

    def __init__(self, ref: ModelRef) -> None:
        """Use the directory of `ref`; send no request yet."""
        self._address = ref.address
        self._client = httpx2.Client(
            # The machine's trusted certificates, or those of SSL_CERT_FILE.
            verify=ssl.create_default_context(),
            follow_redirects=True,
            timeout=_TIMEOUT,
            # Uncompressed, so that an offset in the response is an offset in the file.
            headers={"Accept-Encoding": "identity"},
        )

    def stat(self, name: str) -> FileInfo | None:
        """Return a file's metadata; None if it does not exist or is not visible."""
        with closing(self._send("HEAD", name)) as response:
            if response.status_code in {401, 403, 404, 410}:
                return None
            self._require(response)
            size = response.headers.get("Content-Length", "")
            if not size.isdigit():
                raise DigestMismatch(
                    f"{self._address} does not say how large {name} is: it has to send Content-Length."
                )
            return _file_info(name, int(size), response)

    def read(self, name: str) -> tuple[FileInfo, bytes] | None:
        """Read a small file; return None if it does not exist."""
        with closing(self._send("GET", name)) as response:
            if response.status_code in {404, 410}:
                return None
            self._require(response)
            data = b""
            for chunk in self._chunks(response):
                data += chunk
                if len(data) > object_store.LARGEST_TEXT:
                    raise object_store.file_too_large(name, self._address)
            return _file_info(name, len(data), response), data

    def stream(self, file: FileInfo, begin: int) -> tuple[int, Iterator[bytes]]:
        """Stream a file from `begin`, if it is unchanged since the lookup; return the actual beginning too.

        That is 0 if the server does not support ranges.
        """
        headers = {"If-Match": file.match} if file.match else {}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        response = self._send("GET", file.name, headers)
        if response.status_code == httpx2.codes.PRECONDITION_FAILED:
            response.close()
            raise object_store.source_changed(self._address)
        if begin and response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
            response.close()
            return self.stream(file, 0)
        self._require(response)
        # Some servers send a part with the status of a whole file.
        part = _RANGE.match(response.headers.get("Content-Range", ""))
        return int(part[1]) if part else 0, self._chunks(response)

    def _send(self, method: str, name: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        request = self._client.build_request(method, f"{self._address}/{name}", headers=headers)
        try:
            return self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise self._source_error(error) from error

    def _require(self, response: httpx2.Response) -> None:
        try:
            response.raise_for_status()
        except httpx2.HTTPStatusError as error:
            response.close()
            raise self._source_error(error) from error

    def _chunks(self, response: httpx2.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_raw(object_store.CHUNK)
        except httpx2.HTTPError as error:
            raise self._source_error(error) from error
        finally:
            response.close()

    def _source_error(self, error: Exception) -> SourceError:
        return source_error(error, where=self._address, advice=_ADVICE)


def _file_info(name: str, size: int, response: httpx2.Response) -> FileInfo:
    tag = str(response.headers.get("ETag", ""))
    return object_store.file_info(
        name, size, tag or str(response.headers.get("Last-Modified", "")), tag or None
    )
