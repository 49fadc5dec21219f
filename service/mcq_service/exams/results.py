"""Where the shards of an exam leave what they found: a ConfigMap, which the Kubernetes API keeps.

Each shard writes its own key. The API's answer to that has all keys, so whichever shard is the last to write sees all
parts, and writes the report in their place.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import BaseModel

from mcq_service.exams import console
from mcq_service.exams.errors import ResultsNotKept
from mcq_service.exams.parts import Part
from mcq_service.exams.report_page import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mcq_service.exams.report import Report

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECONDS = 30.0
_TRIES = 6
_LATER = (409, 429)

Patch = dict[str, dict[str, str | None]]


class Account(BaseModel):
    """As whom the API is asked, and where."""

    url: str
    namespace: str
    token_file: Path
    ca_file: Path | None = None


def in_cluster(environment: Mapping[str, str]) -> Account:
    """The account of the Pod that this process is in. Raises ResultsNotKept where it is in none."""
    host, port = (environment.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    if not host or not (ACCOUNT / "token").exists():
        raise ResultsNotKept("A ConfigMap of results needs a Pod with a token of its ServiceAccount.")
    return Account(
        url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(ACCOUNT / "namespace").read_text(),
        token_file=ACCOUNT / "token",
        ca_file=ACCOUNT / "ca.crt",
    )


class Results:
    """The ConfigMap `name` of an exam."""

    def __init__(
        self, account: Account, name: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Speak for `account`; `sleep` takes seconds."""
        self._account = account
        self._name = name
        self._sleep = sleep

    async def put(self, sitting: str, shard: int, shards: int, part: Part) -> list[Part] | None:
        """Keep a shard's part; returns all of them if none is missing. Raises ResultsNotKept."""
        stored = await self._patch({"binaryData": {_part(sitting, shard): _packed(part)}})
        found = [stored["binaryData"].get(_part(sitting, number)) for number in range(shards)]
        if None in found:
            return None
        return [Part.model_validate_json(gzip.decompress(base64.b64decode(each))) for each in found]

    async def publish(self, sitting: str, report: Report, *, history: int) -> None:
        """Keep the report in place of its parts, and those of the last `history` sittings. Raises ResultsNotKept.

        The figures are plain JSON; the whole report, as JSON, as a page and as tables, is compressed.
        """
        figures = report.model_dump_json(exclude={"rows"})
        stored = await self._patch(
            {
                "data": {f"{sitting}.json": figures},
                "binaryData": {
                    f"{sitting}.report.json.gz": _packed(report),
                    f"{sitting}.report.html.gz": _compressed(page(report).encode()),
                    f"{sitting}.report.txt.gz": _compressed(_text(report).encode()),
                },
            }
        )
        if patch := _leaving(stored, history=history):
            await self._patch(patch)

    async def _patch(self, patch: Patch) -> dict[str, Any]:
        """Merge into the ConfigMap; returns all of it."""
        account = self._account
        path = f"/api/v1/namespaces/{account.namespace}/configmaps/{self._name}"
        verify = ssl.create_default_context(cafile=account.ca_file) if account.ca_file else True
        said = ""
        async with httpx2.AsyncClient(base_url=account.url, verify=verify, timeout=_SECONDS) as client:
            for attempt in range(_TRIES):
                if attempt:
                    await self._sleep(2.0**attempt)
                headers = {
                    "Authorization": f"Bearer {account.token_file.read_text().strip()}",
                    "Content-Type": "application/merge-patch+json",
                }
                try:
                    response = await client.patch(path, json=patch, headers=headers)
                except httpx2.HTTPError as error:
                    said = str(error) or type(error).__name__
                    continue
                if response.status_code == httpx2.codes.OK:
                    found: dict[str, Any] = response.json()
                    return found
                said = f"{response.status_code}: {_message(response)}"
                if (
                    response.status_code < httpx2.codes.INTERNAL_SERVER_ERROR
                    and response.status_code not in _LATER
                ):
                    break
        raise ResultsNotKept(f"The ConfigMap {self._name} can't be written: {said}")  # noqa: EM102


def _message(response: httpx2.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


def _part(sitting: str, shard: int) -> str:
    return f"{sitting}.part-{shard}.json.gz"


def _packed(document: BaseModel) -> str:
    return _compressed(document.model_dump_json().encode())


def _compressed(content: bytes) -> str:
    # Without the time: the same content is the same bytes.
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _leaving(stored: dict[str, Any], *, history: int) -> Patch:
    """The keys that go: every part, and the reports of all but the last sittings."""
    reports = {key: _ended(value) for key, value in stored["data"].items() if key.endswith(".json")}
    kept = {
        key.removesuffix(".json") for key in sorted(reports, key=reports.__getitem__, reverse=True)[:history]
    }
    patch: Patch = {}
    for field in ("data", "binaryData"):
        gone: dict[str, str | None] = {key: None for key in stored[field] if not _is_of(key, kept)}
        if gone:
            patch[field] = gone
    return patch


def _is_of(key: str, kept: set[str]) -> bool:
    return any(key == f"{each}.json" or key.startswith(f"{each}.report.") for each in kept)


def _text(report: Report) -> str:
    stream = io.StringIO()
    console.show(report, stream)
    return stream.getvalue()


def _ended(figures: str) -> str:
    found = re.search(r'"created":"([^"]+)"', figures)
    return found[1] if found else ""
