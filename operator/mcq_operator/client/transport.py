"""One request and its answer, with the client library's connections and credentials.

The library's own request methods copy every body twice, and look for a proxy in the environment each time, in another
thread. That was half of the operator's CPU time.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from mcq_operator.api import Manifest

from .errors import AnswerTooLongError, NoAnswerError, UnavailableError, cluster_error
from .json_depth import decode_shallow

ERRORS = 400
JSON = "application/json"
DEFAULT_NAMESPACE = "default"


async def connect(*, connections: int, context: str | None = None) -> Any:
    """Return a client with the Pod's service account or, outside a cluster, with KUBECONFIG.

    With a `context`, always use that one of KUBECONFIG. Raises ConfigException.
    """
    settings = client.Configuration()
    settings.connection_pool_maxsize = connections
    # As kopf does for the watches: no proxies from the environment, and no passwords from .netrc.
    settings.client_session_kwargs = {"trust_env": False}
    if context is not None or not _load_service_account(settings):
        await config.load_kube_config(context=context, client_configuration=settings)
    return client.ApiClient(configuration=settings)


def _load_service_account(settings: Any) -> bool:
    """Use the Pod's service account; return whether there is one."""
    try:
        config.load_incluster_config(client_configuration=settings)
    except ConfigException:
        return False
    return True


def current_namespace(context: str | None) -> str:
    """Return the namespace of KUBECONFIG's context, as kubectl does."""
    try:
        contexts, current = config.list_kube_config_contexts()
    except ConfigException:
        return DEFAULT_NAMESPACE
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or DEFAULT_NAMESPACE)


METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA_WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""To accept only the metadata of objects."""
LONGEST_ANSWER = 64 * 2**20
"""Bytes. Other users' objects must not fill the operator's memory."""


class Transport:
    """Sends JSON, and returns the decoded answer."""

    def __init__(self, api_client: Any) -> None:
        """Send requests through `api_client`, from `connect`."""
        self._client = api_client

    async def send(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: dict[str, str] | None = None,
        body: Manifest | list[Manifest] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        decode: Callable[[bytes], Any] = decode_shallow,
    ) -> Any:
        """Send a request; return the answer, decoded by `decode`.

        Raises ClusterError: NoAnswerError if no answer comes within `seconds`, AnswerTooLongError.
        """
        path_and_query = path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            answer = await self._request(
                method, path_and_query, headers, body, aiohttp.ClientTimeout(total=seconds)
            )
            content = await read_at_most(LONGEST_ANSWER, answer.content, path)
        except TooLongError as error:
            raise AnswerTooLongError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _no_answer(error) from error
        if answer.status >= ERRORS:
            refusal = ApiException(status=answer.status, reason=answer.reason)
            refusal.body = content
            raise cluster_error(refusal)
        try:
            return decode(content)
        except msgspec.DecodeError as error:
            message = f"{path}: the API server's answer is not valid JSON: {content[:200]!r}"
            raise UnavailableError(message) from error

    async def post(self, path: str, *, body: Manifest, silence: float) -> aiohttp.ClientResponse:
        """Send JSON; return the response with its body still to be read, whatever its status.

        Raises NoAnswerError. Reading the body raises TimeoutError after `silence` seconds without data.
        """
        headers = {"Accept": "*/*", "Content-Type": JSON}
        limits = aiohttp.ClientTimeout(total=None, sock_read=silence)
        try:
            return await self._request("post", path, headers, body, limits)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _no_answer(error) from error

    async def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Manifest | list[Manifest] | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers["User-Agent"] = self._client.user_agent
        # This renews a token that is about to expire.
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        answer = await self._client.rest_client.request(
            method,
            self._client.configuration.host + path,
            headers=headers,
            body=body,
            _request_timeout=limits,
        )
        response: aiohttp.ClientResponse = answer.response
        return response


def _no_answer(error: Exception) -> NoAnswerError:
    return NoAnswerError(f"can't reach the API server: {error!r}")


class TooLongError(aiohttp.ClientPayloadError):
    """An answer has more bytes than allowed."""


async def read_at_most(longest: int, stream: aiohttp.StreamReader, path: str) -> bytes:
    """Read a body of at most `longest` bytes. Raises TooLongError, which names the `path`."""
    content = bytearray()
    async for chunk in stream.iter_chunked(2**16):
        content += chunk
        if len(content) > longest:
            message = f"{path}: the answer has more than {longest} bytes"
            raise TooLongError(message)
    return bytes(content)
