"""Where the shards of an exam leave what they found: ConfigMaps, which the Kubernetes API keeps.

A ConfigMap holds 1 MiB, so an exam has one for each shard, `NAME-SHARD`, with the shard's questions, and one for the
whole, `NAME`, with the figures and the report. The operator makes them; a Pod may write to them, and to nothing else.

Each shard writes its questions, and then in which run it has answered, as there may have been a Job of the same name.
The API's answer to that says which others have, so the last shard knows that it is the last, and writes the report.
Every write makes room for itself: it removes the oldest sittings, so that no answers are lost for lack of space.

A Pod may answer a share again because the one before was lost. It replaces that share and the report, so that both are
what Pods that ended well have stated (evidence.py).
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
from pydantic import BaseModel

from mcq_service.exams import console
from mcq_service.exams.errors import ResultsNotKept, TooManyQuestions
from mcq_service.exams.evidence import digest
from mcq_service.exams.parts import Part, placeholder
from mcq_service.exams.report_page import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from pydantic.main import IncEx

    from mcq_service.exams.questions import ExamQuestion
    from mcq_service.exams.report import Report

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ROOM = 1_000_000
"""Bytes of all values of a ConfigMap: Kubernetes takes 1 MiB."""
LARGEST_PART = ROOM // 2
"""Bytes of a shard's questions: those of the sitting before stay until there is a report of this one."""
MOST_SHARDS = 64
"""As many as spec.parallelism may be."""
LONGEST_LIST = 1000
"""Failures, and lines left out, that a report names; it has the number of all."""
_SECONDS = 30.0
_TRIES = 6
_LATER = (409, 429)
_KEY = re.compile(r"(.+?)\.(?:json|report\..+|rows\.json\.gz|answered-\d+)")
_FIGURES: Mapping[str, IncEx | bool] = {
    "created": True, "model": True, "model_digest": True, "precision": True, "prompt_digest": True, "exams": True,
    "shards": True, "unanswered": True, "latency": True, "verdict": True, "figures": {"accuracy", "ece"},
}  # fmt: skip
"""What the operator reads of a report."""

Values = dict[str, dict[str, str]]
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


def check_room(questions: Sequence[ExamQuestion], *, shards: int) -> None:
    """Raise TooManyQuestions where a ConfigMap has no room for the answers to one shard's questions."""
    size = len(gzip.compress(_json(placeholder(questions))))
    if size > LARGEST_PART:
        fewest = size * shards // LARGEST_PART + 1
        advice = "take fewer questions" if fewest > MOST_SHARDS else f"set spec.parallelism to {fewest}"
        msg = (
            f"The answers to {len(questions)} questions take about {size >> 10} KiB, and there is room for"
            f" {LARGEST_PART >> 10} KiB: {advice}, so that each Pod asks fewer."
        )
        raise TooManyQuestions(msg)


class Kept(NamedTuple):
    """A shard's part that was kept, and all of them once none is missing.

    Attributes:
        digest: of the shard's part.
        parts: those of all shards; empty while one is missing.
        digests: theirs.

    """

    digest: str
    parts: list[Part]
    digests: list[str]


class Results:
    """The ConfigMaps `name` and `name-SHARD` of an exam."""

    def __init__(
        self, account: Account, name: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Speak for `account`; `sleep` takes seconds."""
        self._account = account
        self._name = name
        self._sleep = sleep

    async def put(
        self, sitting: str, shard: int, shards: int, part: Part, *, run: str, history: int = 1
    ) -> Kept:
        """Keep a shard's part, of one `run` of the sitting. Raises ResultsNotKept."""
        others = _newest_first(await self._call("GET", self._name), but=sitting)
        own = self._of_shard(shard)
        packed = gzip.compress(_json(part), mtime=0)
        mine: Values = {"data": {}, "binaryData": {_rows(sitting): _encoded(packed)}}
        # The last result stays until there is another one: a comparison may read it.
        await self._write(own, mine, sitting, await self._call("GET", own), others[: max(history - 1, 1)])
        answered = {"data": {f"{_answered(sitting)}{shard}": run}}
        whole = await self._call("PATCH", self._name, answered)
        if any(whole["data"].get(f"{_answered(sitting)}{number}") != run for number in range(shards)):
            return Kept(digest(packed), [], [])
        found = [await self._packed(sitting, number) for number in range(shards)]
        parts = [Part.model_validate_json(gzip.decompress(each)) for each in found]
        return Kept(digest(packed), parts, [digest(each) for each in found])

    async def publish(self, sitting: str, report: Report, digests: Sequence[str], *, history: int) -> str:
        """Keep the report, and those of the last `history` sittings that there is room for; return its digest.

        The figures are plain JSON, with the `digests` of the parts. The report is compressed: as a page, as tables,
        and as JSON, whose questions stay where the shards have put them. Raises ResultsNotKept.
        """
        whole = await self._call("GET", self._name)
        figures = report.model_dump(mode="json", include=_FIGURES) | {"parts": [*digests]}
        text = json.dumps(figures, separators=(",", ":"))
        shortened = report.shortened(LONGEST_LIST)
        answered = {key: at for key, at in whole["data"].items() if key.startswith(_answered(sitting))}
        mine: Values = {
            "data": {**answered, f"{sitting}.json": text},
            "binaryData": {
                f"{sitting}.report.json.gz": _compressed(shortened.model_dump_json(exclude={"rows"})),
                f"{sitting}.report.txt.gz": _compressed(_text(shortened)),
                f"{sitting}.report.html.gz": _compressed(page(shortened)),
            },
        }
        others = _newest_first(whole, but=sitting)
        await self._write(self._name, mine, sitting, whole, others[: history - 1])
        return digest(text.encode())

    async def _write(
        self, name: str, mine: Values, sitting: str, stored: Values, others: Sequence[str]
    ) -> None:
        """Write a sitting's values in place of its own before and of those of all sittings but `others`, oldest last.

        In one write, as a ConfigMap that is too large even for a moment is refused. What has no room goes: the oldest
        of the others, and then the page and the tables, which the JSON can be made into.
        """
        kept = list(others)
        while _size(mine) + _size(_of(stored, kept)) > ROOM and kept:
            kept.pop()
        for form in ("html", "txt"):
            if _size(mine) > ROOM:
                mine["binaryData"].pop(f"{sitting}.report.{form}.gz", None)
        wanted = _of(stored, kept)
        patch: Patch = {
            field: {
                **{key: None for key in stored[field] if key not in wanted[field]},
                **mine[field],
            }
            for field in ("data", "binaryData")
        }
        await self._call("PATCH", name, patch)

    async def _packed(self, sitting: str, shard: int) -> bytes:
        stored = await self._call("GET", self._of_shard(shard))
        packed = stored["binaryData"].get(_rows(sitting))
        if packed is None:
            raise ResultsNotKept(f"The answers of shard {shard} are not in {self._of_shard(shard)} any more.")  # noqa: EM102
        return base64.b64decode(packed)

    def _of_shard(self, shard: int) -> str:
        return f"{self._name}-{shard}"

    async def _call(self, method: str, name: str, patch: Mapping[str, Any] | None = None) -> Values:
        """Read a ConfigMap, or merge into it; returns all of it. Raises ResultsNotKept."""
        account = self._account
        path = f"/api/v1/namespaces/{account.namespace}/configmaps/{name}"
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
                    response = await client.request(method, path, json=patch, headers=headers)
                except httpx2.HTTPError as error:
                    said = str(error) or type(error).__name__
                    continue
                if response.status_code == httpx2.codes.OK:
                    found: dict[str, Any] = response.json()
                    return {field: found.get(field, {}) for field in ("data", "binaryData")}
                said = f"{response.status_code}: {_message(response)}"
                if (
                    response.status_code < httpx2.codes.INTERNAL_SERVER_ERROR
                    and response.status_code not in _LATER
                ):
                    break
        verb = "read" if method == "GET" else "written"
        raise ResultsNotKept(f"The ConfigMap {name} can't be {verb}: {said}")  # noqa: EM102


def _message(response: httpx2.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


def _answered(sitting: str) -> str:
    """How the keys begin that say which shards have answered, in which run."""
    return f"{sitting}.answered-"


def _rows(sitting: str) -> str:
    return f"{sitting}.rows.json.gz"


def _json(document: BaseModel) -> bytes:
    return document.model_dump_json().encode()


def _compressed(text: str) -> str:
    # Without the time: the same content is the same bytes.
    return _encoded(gzip.compress(text.encode(), mtime=0))


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _newest_first(whole: Values, *, but: str) -> list[str]:
    """The sittings other than `but` that have a report, the last one first."""
    ended = {
        key.removesuffix(".json"): _ended(figures)
        for key, figures in whole["data"].items()
        if key.endswith(".json") and key != f"{but}.json"
    }
    return sorted(ended, key=ended.__getitem__, reverse=True)


def _of(stored: Values, sittings: Iterable[str]) -> Values:
    """What is stored of these sittings."""
    wanted = set(sittings)
    return {field: {k: v for k, v in held.items() if _sitting(k) in wanted} for field, held in stored.items()}


def _sitting(key: str) -> str:
    found = _KEY.fullmatch(key)
    return found[1] if found else key


def _size(values: Values) -> int:
    """Bytes as the API server counts them."""
    plain = sum(len(each.encode()) for each in values["data"].values())
    return plain + sum(len(each) * 3 // 4 for each in values["binaryData"].values())


def _text(report: Report) -> str:
    stream = io.StringIO()
    console.show(report, stream)
    return stream.getvalue()


def _ended(figures: str) -> str:
    found = re.search(r'"created":"([^"]+)"', figures)
    return found[1] if found else ""
