"""A web server's directory, in the terms of `places`, and what HTTP's statuses mean for a source."""

from __future__ import annotations

import re
import ssl
import time
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx2

from mcq_service.model_store.errors import AccessDenied, DigestMismatch, SourceError, SourceUnreachable
from mcq_service.model_store.sources import object_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mcq_service.model_store.reference import ModelRef

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another time may be better."""
_TIMEOUT = httpx2.Timeout(30, connect=10)
_ADVICE = "check the address, the network and the proxy settings"
_RANGE = re.compile(r"bytes (\d+)-")


def failure(error: Exception, *, where: str, advice: str) -> SourceError:
    """What an error of HTTP means: to be tried again, or not."""
    said = str(error).partition("\n")[0] or type(error).__name__
    response = getattr(error, "response", None)
    kept = "what was fetched is kept"
    if response is None or response.status_code in _PASSING:
        return SourceUnreachable(
            f"{where} can't be reached ({said}): {advice}, then run this again: {kept}.",
            retry_after=retry_after(response.headers) if response is not None else None,
        )
    if response.status_code in {401, 403}:
        return AccessDenied(
            f"{where} may not be read ({said}): it asks for credentials, or refuses those it got."
        )
    return SourceError(f"{where} refuses ({said}): {advice}; {kept}.")


def retry_after(headers: Mapping[str, str], *, now: Callable[[], float] = time.time) -> float | None:
    """The seconds that a server asks to wait: a number of them, or a date; None where it doesn't."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now())
    except (ValueError, TypeError, OverflowError):
        return None


class Web:
    """Files below an address; see `object_store.Place`."""

    def __init__(self, ref: ModelRef) -> None:
        """Name it; nothing is asked yet."""
        self._address = ref.address
        self._client = httpx2.Client(
            # The certificates that the machine trusts, or those of SSL_CERT_FILE.
            verify=ssl.create_default_context(),
            follow_redirects=True,
            timeout=_TIMEOUT,
            # Uncompressed, so that a position in the answer is a position in the file.
            headers={"Accept-Encoding": "identity"},
        )

    def look(self, name: str) -> object_store.Entry | None:
        """A file's size and version; None where there is none, or none that is shown."""
        with closing(self._opened("HEAD", name)) as response:
            if response.status_code in {401, 403, 404, 410}:
                return None
            self._require(response)
            size = response.headers.get("Content-Length", "")
            if not size.isdigit():
                raise DigestMismatch(
                    f"{self._address} does not say how large {name} is: it has to send Content-Length."  # noqa: EM102
                )
            return _entry(name, int(size), response)

    def read(self, name: str) -> tuple[object_store.Entry, bytes] | None:
        """A small file; None where the directory has none."""
        with closing(self._opened("GET", name)) as response:
            if response.status_code in {404, 410}:
                return None
            self._require(response)
            data = b""
            for chunk in self._chunks(response):
                data += chunk
                if len(data) > object_store.LARGEST_TEXT:
                    raise object_store.too_large(name, self._address)
            return _entry(name, len(data), response), data

    def stream(self, entry: object_store.Entry, begin: int) -> tuple[int, Iterator[bytes]]:
        """The bytes of the very file that was looked at, and where they begin: 0 where ranges are not sent."""
        headers = {"If-Match": entry.match} if entry.match else {}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        response = self._opened("GET", entry.name, headers)
        if response.status_code == httpx2.codes.PRECONDITION_FAILED:
            response.close()
            raise object_store.changed(self._address)
        if begin and response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
            response.close()
            return self.stream(entry, 0)
        self._require(response)
        # Some servers send a part with the status of the whole.
        part = _RANGE.match(response.headers.get("Content-Range", ""))
        return int(part[1]) if part else 0, self._chunks(response)

    def _opened(self, method: str, name: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        request = self._client.build_request(method, f"{self._address}/{name}", headers=headers)
        try:
            return self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise self._failure(error) from error

    def _require(self, response: httpx2.Response) -> None:
        try:
            response.raise_for_status()
        except httpx2.HTTPStatusError as error:
            response.close()
            raise self._failure(error) from error

    def _chunks(self, response: httpx2.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_raw(object_store.CHUNK)
        except httpx2.HTTPError as error:
            raise self._failure(error) from error
        finally:
            response.close()

    def _failure(self, error: Exception) -> SourceError:
        return failure(error, where=self._address, advice=_ADVICE)


def _entry(name: str, size: int, response: httpx2.Response) -> object_store.Entry:
    tag = str(response.headers.get("ETag", ""))
    return object_store.entry(name, size, tag or str(response.headers.get("Last-Modified", "")), tag or None)
