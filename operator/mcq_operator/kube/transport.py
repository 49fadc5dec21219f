"""One request and its answer, over the client library's connections and with its credentials.

The library's own ways of sending copy every body twice and ask the environment for a proxy each time, in another
thread: that was half of what the operator did.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from mcq_operator.models import Manifest

from .errors import NoAnswerError, UnavailableError, cluster_error

ERRORS = 400
JSON = "application/json"


async def connect(*, connections: int) -> Any:
    """A client from the Pod's service account or, outside a cluster, from KUBECONFIG."""
    settings = client.Configuration()
    settings.connection_pool_maxsize = connections
    # As kopf does it for the watches: no proxies, and no passwords of a .netrc.
    settings.client_session_kwargs = {"trust_env": False}
    try:
        config.load_incluster_config(client_configuration=settings)
    except ConfigException:
        await config.load_kube_config(client_configuration=settings)
    return client.ApiClient(configuration=settings)


LONGEST_ANSWER = 64 * 2**20
"""Bytes: what others store must not fill the operator's memory."""


class Transport:
    """Sends JSON, and returns what comes back."""

    def __init__(self, api_client: Any) -> None:
        """Speak through `api_client`, from `connect`."""
        self._client = api_client

    async def send(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        decode: Callable[[bytes], Any] = msgspec.json.decode,
    ) -> Any:
        """The answer, as `decode` makes it of JSON.

        Raises ClusterError, NoAnswerError where no answer comes within `seconds`.
        """
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": self._client.user_agent}
        # It renews a token that is about to expire.
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            answer = await self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=timeout
            )
            content = await _read(path, answer.response.content)
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"the API server can't be reached: {error!r}"
            raise NoAnswerError(message) from error
        if answer.status >= ERRORS:
            refusal = ApiException(status=answer.status, reason=answer.reason)
            refusal.body = content
            raise cluster_error(refusal)
        try:
            return decode(content)
        except msgspec.DecodeError as error:
            message = f"{path}: not the JSON that was asked for: {content[:200]!r}"
            raise UnavailableError(message) from error


async def _read(path: str, stream: aiohttp.StreamReader) -> bytes:
    content = bytearray()
    async for chunk in stream.iter_chunked(2**16):
        content += chunk
        if len(content) > LONGEST_ANSWER:
            message = f"{path}: the API server's answer has more than {LONGEST_ANSWER} bytes"
            raise UnavailableError(message)
    return bytes(content)
