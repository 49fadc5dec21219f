"""Read and change ConfigMaps with the account of a Pod."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import BaseModel

from mcq_eval.errors import ResultsNotStored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECONDS = 30.0
_ATTEMPTS = 6
_RETRY_STATUSES = (409, 429)

Values = dict[str, dict[str, str]]
Patch = dict[str, dict[str, str | None]]
"""The data and the binaryData of a ConfigMap, or a change of them: None removes a key."""


class Account(BaseModel):
    """The API server's address, and the account of its client."""

    url: str
    namespace: str
    token_file: Path
    ca_file: Path | None = None


def pod_account(environment: Mapping[str, str]) -> Account:
    """Return the account of the Pod that runs this process. Raises ResultsNotStored outside a Pod."""
    host, port = (environment.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    if not host or not (ACCOUNT / "token").exists():
        raise ResultsNotStored("A ConfigMap of results needs a Pod with a token of its ServiceAccount.")
    return Account(
        url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(ACCOUNT / "namespace").read_text(),
        token_file=ACCOUNT / "token",
        ca_file=ACCOUNT / "ca.crt",
    )


class ConfigMaps:
    """The ConfigMaps of the account's namespace."""

    def __init__(
        self, account: Account, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Use the API as `account`; `sleep` takes seconds."""
        self._account = account
        self._sleep = sleep

    async def read(self, name: str) -> Values:
        """Return the values of a ConfigMap. Raises ResultsNotStored."""
        return await self._call("GET", name)

    async def merge(self, name: str, patch: Patch) -> Values:
        """Merge into a ConfigMap; return all of its values. Raises ResultsNotStored."""
        return await self._call("PATCH", name, patch)

    async def _call(self, method: str, name: str, patch: Patch | None = None) -> Values:
        account = self._account
        path = f"/api/v1/namespaces/{account.namespace}/configmaps/{name}"
        verify = ssl.create_default_context(cafile=account.ca_file) if account.ca_file else True
        failure = ""
        async with httpx2.AsyncClient(base_url=account.url, verify=verify, timeout=_SECONDS) as client:
            for attempt in range(_ATTEMPTS):
                if attempt:
                    await self._sleep(2.0**attempt)
                headers = {
                    "Authorization": f"Bearer {account.token_file.read_text().strip()}",
                    "Content-Type": "application/merge-patch+json",
                }
                try:
                    response = await client.request(method, path, json=patch, headers=headers)
                except httpx2.HTTPError as error:
                    failure = str(error) or type(error).__name__
                    continue
                if response.status_code == httpx2.codes.OK:
                    config_map: dict[str, Any] = response.json()
                    return {field: config_map.get(field, {}) for field in ("data", "binaryData")}
                failure = f"{response.status_code}: {_message(response)}"
                if (
                    response.status_code < httpx2.codes.INTERNAL_SERVER_ERROR
                    and response.status_code not in _RETRY_STATUSES
                ):
                    break
        verb = "read" if method == "GET" else "written"
        raise ResultsNotStored(f"The ConfigMap {name} can't be {verb}: {failure}")


def _message(response: httpx2.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]
