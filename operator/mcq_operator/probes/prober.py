"""One bounded GET request to a replica.

A replica runs any image and can answer anything: gigabytes, a compressed bomb, a redirect to a server that only the
operator reaches, a body that never ends. So a probe takes the status and the first bytes as they are, within a
deadline, and follows nothing.
"""

from typing import NamedTuple

import aiohttp

from mcq_operator.models import names

LONGEST_BODY = 4096
"""Bytes of a body that are read; the connection is closed after them."""
IDENTITY = "identity"


class ProbeError(Exception):
    """No usable answer came; the message says what happened."""


class Reply(NamedTuple):
    """An answer's status, and its body's first bytes."""

    status: int
    body: bytes


def replica_url(address: str, path: str) -> str:
    """Return the URL of a path of the replica whose Pod has this IP address."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{names.HTTP_PORT}{path}"


def connections() -> aiohttp.ClientSession:
    """Return a session that keeps nothing of an answer: no cookie, no connection, no unpacked body."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": IDENTITY},
        auto_decompress=False,
    )


class Prober:
    """Sends GET requests."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Send through `session`, from `connections`."""
        self._session = session

    async def get(self, url: str, *, seconds: float) -> Reply:
        """Return the answer, whatever its status. Raises ProbeError."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.get(url, allow_redirects=False, timeout=timeout) as response:
                return Reply(response.status, await _body(response))
        except TimeoutError as error:
            message = f"no answer from {url} within {seconds:.0f} s."
            raise ProbeError(message) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = f"{type(error).__name__}: {error}"
            raise ProbeError(message) from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes; none of a body that is encoded although that was not asked for."""
    if response.headers.get("Content-Encoding", IDENTITY) != IDENTITY:
        return b""
    body = b""
    while chunk := await response.content.read(LONGEST_BODY - len(body)):
        body += chunk
    return body
