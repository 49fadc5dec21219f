"""One bounded GET request to a replica.

A replica runs any image and may answer anything: gigabytes, a decompression bomb, a redirect to a server that only the
operator can reach, an endless body. So a probe reads the status and the first bytes, without decoding them and within
a deadline, and follows no redirect.
"""

from typing import NamedTuple, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from mcq_operator.api import names

LONGEST_BODY = 4096
"""Bytes to read of a body; then the connection is closed."""
IDENTITY = "identity"
REPLICA_SECONDS = 3.0
"""How long a replica may take to report about itself."""

Answer = TypeVar("Answer", bound=BaseModel)


class ProbeError(Exception):
    """No usable answer came. The message says what happened."""


class Reply(NamedTuple):
    """An answer's status and the first bytes of its body."""

    status: int
    body: bytes


def open_session() -> aiohttp.ClientSession:
    """Return a session that stores no cookies, reuses no connections and unpacks no bodies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": IDENTITY},
        auto_decompress=False,
    )


async def get(session: aiohttp.ClientSession, url: str, *, seconds: float) -> Reply:
    """Return the answer through `session`, from `open_session`, whatever its status. Raises ProbeError."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with session.get(url, allow_redirects=False, timeout=timeout) as response:
            return Reply(response.status, await _body(response))
    except TimeoutError as error:
        message = f"no answer from {url} within {seconds:.0f} s."
        raise ProbeError(message) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        message = f"{type(error).__name__}: {error}"
        raise ProbeError(message) from error


async def ask_replica(
    session: aiohttp.ClientSession, address: str, path: str, answer: type[Answer], *, port: int | None = None
) -> Answer | None:
    """Ask the replica with this IP address, by default on the port for clients, without a key; never raise.

    Return None if the replica gives no valid answer.
    """
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{port or names.HTTP_PORT}{path}"
    try:
        reply = await get(session, url, seconds=REPLICA_SECONDS)
        return answer.model_validate_json(reply.body)
    except (ProbeError, ValidationError):
        return None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes of the body; none if it is encoded, which the request did not allow."""
    if response.headers.get("Content-Encoding", IDENTITY) != IDENTITY:
        return b""
    body = b""
    while chunk := await response.content.read(LONGEST_BODY - len(body)):
        body += chunk
    return body
