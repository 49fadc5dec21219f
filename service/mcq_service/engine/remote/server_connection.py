"""HTTP connections to another server: its API key, the current trace, and a second attempt if no response came.

The server is not trusted: responses are limited in size, so that none fills this process' memory.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx2
from opentelemetry import propagate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

CONNECT_SECONDS = 5.0
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
_ATTEMPTS = 2
# No part of a response arrived: the server did not start one, or closed an idle connection as the request was sent.
_UNANSWERED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.RemoteProtocolError, httpx2.ReadError)


_KEY = re.compile(rb"[!-~]+")


class KeyUnreadable(Exception):
    """The file with the server's API key can't be read or has no key; the message says why, without the key."""


class ResponseTooLong(httpx2.ReadError):
    """The response is longer than MAX_RESPONSE_BYTES."""


class ResponseCompressed(httpx2.DecodingError):
    """The response is compressed, although the request did not accept that: it may become any size."""


class ServerConnection:
    """One server."""

    def __init__(self, base: str, *, key_file: Path | None, timeout_seconds: float | None) -> None:
        """Prepare for requests to paths below `base`; callers bound their number.

        Each request reads the key again, so the key can change. The server may be silent for `timeout_seconds`.
        """
        self.name = str(httpx2.URL(base).copy_with(username=None, password=None, query=None))
        self._http = httpx2.AsyncClient(
            base_url=base,
            timeout=httpx2.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None),
            headers={"Accept-Encoding": "identity"},
        )
        self._key_file = key_file

    async def send(
        self, method: str, path: str, body: dict[str, Any] | None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Return the response before its body is read. Raises httpx2.HTTPError or KeyUnreadable.

        Reading a body of more than MAX_RESPONSE_BYTES raises ResponseTooLong.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            request = self._http.build_request(
                method, path, json=body, headers={**(headers or {}), **self._headers()}
            )
            try:
                response = await self._http.send(request, stream=True)
                break
            except _UNANSWERED:
                if attempt == _ATTEMPTS:
                    raise
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise ResponseCompressed("It was not asked to compress.", request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Limited(response.stream)
        return response

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _headers(self) -> dict[str, str]:
        """Return the key and the current trace as headers."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        if self._key_file is None:
            return headers
        try:
            key = self._key_file.read_bytes().strip()
        except OSError as error:
            raise KeyUnreadable(error.strerror) from error
        if not _KEY.fullmatch(key):
            raise KeyUnreadable("it is not one word of ASCII characters")
        return {**headers, "Authorization": f"Bearer {key.decode()}"}


class _Limited(httpx2.AsyncByteStream):
    """The body of a response, up to a number of bytes."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._body:
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise ResponseTooLong(f"It has more than {MAX_RESPONSE_BYTES} bytes.")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
