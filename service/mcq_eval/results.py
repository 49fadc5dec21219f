"""Store the results of an exam's shards in ConfigMaps.

A ConfigMap holds 1 MiB, so an exam has one for each shard, `NAME-SHARD`, with the shard's questions, and one for the
whole, `NAME`, with the figures and the report. The operator creates them; a Pod may write only to them.

Each shard writes its questions, and then the run in which it answered, because an earlier Job may have had the same
name. The API's response shows which other shards have done so. The last shard sees that it is the last, and writes the
report. Every write first removes the oldest sittings if it needs the space, so a full ConfigMap loses no answers.

A Pod may answer a shard again because the earlier Pod was lost. It replaces that shard's part and the report, so that
both match the digests that successful Pods have stated (evidence.py).
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from typing import TYPE_CHECKING, NamedTuple

from mcq_eval.errors import ResultsNotStored, TooManyQuestions
from mcq_eval.evidence import digest
from mcq_eval.parts import Part, placeholder_part
from mcq_eval.report.html_page import render_page
from mcq_eval.report.tables import print_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.main import IncEx

    from mcq_eval.config_maps import ConfigMaps, Patch, Values
    from mcq_eval.dataset.exam import AnyExamQuestion
    from mcq_eval.report.exam_report import Report

MAX_BYTES = 1_000_000
"""The largest size of all values of a ConfigMap: Kubernetes accepts 1 MiB."""
MAX_PART_BYTES = MAX_BYTES // 2
"""The largest size of a shard's questions: those of the earlier sitting stay until this sitting has a report."""
MAX_SHARDS = 64
"""The maximum of spec.parallelism."""
MAX_LIST_LENGTH = 1000
"""The most failures, and lines left out, that a report lists; it counts all."""
_KEY = re.compile(r"(.+?)\.(?:json|report\..+|rows\.json\.gz|answered-\d+)")
_FIGURES: Mapping[str, IncEx | bool] = {
    "created": True, "model": True, "model_digest": True, "precision": True, "prompt_digest": True, "exams": True,
    "shards": True, "unanswered": True, "latency": True, "verdict": True,
    "figures": {"accuracy", "ece", "risk_coverage"},
}  # fmt: skip
"""The fields of a report that the operator reads."""


def check_size(questions: Sequence[AnyExamQuestion], *, shards: int) -> None:
    """Raise TooManyQuestions if the answers to one shard's questions do not fit into a ConfigMap."""
    size = len(gzip.compress(_json(placeholder_part(questions))))
    if size > MAX_PART_BYTES:
        fewest = size * shards // MAX_PART_BYTES + 1
        advice = "take fewer questions" if fewest > MAX_SHARDS else f"set spec.parallelism to {fewest}"
        msg = (
            f"The answers to {len(questions)} questions take about {size >> 10} KiB, and a ConfigMap has room for"
            f" {MAX_PART_BYTES >> 10} KiB: {advice}, so that each Pod asks fewer."
        )
        raise TooManyQuestions(msg)


class StoredPart(NamedTuple):
    """A stored part of a shard, with the parts of all shards once none is missing.

    Attributes:
        digest: The digest of the shard's part.
        parts: The parts of all shards; empty while one is missing.
        digests: The digests of `parts`.

    """

    digest: str
    parts: list[Part]
    digests: list[str]


class ResultStore:
    """The ConfigMaps `name` and `name-SHARD` of an exam."""

    def __init__(self, config_maps: ConfigMaps, name: str) -> None:
        """Store in ConfigMaps that exist already; only the operator creates them."""
        self._config_maps = config_maps
        self._name = name

    async def put(
        self, sitting: str, shard: int, shards: int, part: Part, *, run: str, history: int = 1
    ) -> StoredPart:
        """Store a shard's part, answered in this `run` of the sitting. Raises ResultsNotStored."""
        others = _newest_first(await self._config_maps.read(self._name), exclude=sitting)
        own = self._of_shard(shard)
        packed = gzip.compress(_json(part), mtime=0)
        mine: Values = {"data": {}, "binaryData": {_rows(sitting): _encoded(packed)}}
        # The last result stays until there is a new one: a comparison may read it.
        await self._write(
            own, mine, sitting, await self._config_maps.read(own), others[: max(history - 1, 1)]
        )
        answered: Patch = {"data": {f"{_answered(sitting)}{shard}": run}}
        whole = await self._config_maps.merge(self._name, answered)
        if any(whole["data"].get(f"{_answered(sitting)}{number}") != run for number in range(shards)):
            return StoredPart(digest(packed), [], [])
        all_packed = [await self._packed(sitting, number) for number in range(shards)]
        parts = [Part.model_validate_json(gzip.decompress(each)) for each in all_packed]
        return StoredPart(digest(packed), parts, [digest(each) for each in all_packed])

    async def publish(self, sitting: str, report: Report, digests: Sequence[str], *, history: int) -> str:
        """Store the report, keep those of the last `history` sittings that fit, and return the report's digest.

        The figures are plain JSON, with the `digests` of the parts. The report is compressed: as a page, as tables,
        and as JSON without the questions, which stay in the shards' ConfigMaps. Raises ResultsNotStored.
        """
        whole = await self._config_maps.read(self._name)
        figures = report.model_dump(mode="json", include=_FIGURES) | {"parts": [*digests]}
        text = json.dumps(figures, separators=(",", ":"))
        shortened = report.shortened(MAX_LIST_LENGTH)
        answered = {key: run for key, run in whole["data"].items() if key.startswith(_answered(sitting))}
        mine: Values = {
            "data": {**answered, f"{sitting}.json": text},
            "binaryData": {
                f"{sitting}.report.json.gz": _compressed(shortened.model_dump_json(exclude={"rows"})),
                f"{sitting}.report.txt.gz": _compressed(_text(shortened)),
                f"{sitting}.report.html.gz": _compressed(render_page(shortened)),
            },
        }
        others = _newest_first(whole, exclude=sitting)
        await self._write(self._name, mine, sitting, whole, others[: history - 1])
        return digest(text.encode())

    async def _write(
        self, name: str, mine: Values, sitting: str, stored: Values, others: Sequence[str]
    ) -> None:
        """Replace a sitting's values; remove all other sittings except `others`, which are oldest last.

        Old values are removed in the same write, because the API refuses a ConfigMap that is too large. If there is
        no room, it drops the oldest of the others, then the page and the tables, which the JSON can replace.
        """
        kept = list(others)
        while _size(mine) + _size(_values_of(stored, kept)) > MAX_BYTES and kept:
            kept.pop()
        for form in ("html", "txt"):
            if _size(mine) > MAX_BYTES:
                mine["binaryData"].pop(f"{sitting}.report.{form}.gz", None)
        desired = _values_of(stored, kept)
        patch: Patch = {
            field: {
                **{key: None for key in stored[field] if key not in desired[field]},
                **mine[field],
            }
            for field in ("data", "binaryData")
        }
        await self._config_maps.merge(name, patch)

    async def _packed(self, sitting: str, shard: int) -> bytes:
        stored = await self._config_maps.read(self._of_shard(shard))
        packed = stored["binaryData"].get(_rows(sitting))
        if packed is None:
            raise ResultsNotStored(f"The answers of shard {shard} are gone from {self._of_shard(shard)}.")
        return base64.b64decode(packed)

    def _of_shard(self, shard: int) -> str:
        return f"{self._name}-{shard}"


def _answered(sitting: str) -> str:
    """Return the prefix of the keys that say in which run a shard has answered."""
    return f"{sitting}.answered-"


def _rows(sitting: str) -> str:
    return f"{sitting}.rows.json.gz"


def _json(document: BaseModel) -> bytes:
    return document.model_dump_json().encode()


def _compressed(text: str) -> str:
    # Without a timestamp, so that the same content gives the same bytes.
    return _encoded(gzip.compress(text.encode(), mtime=0))


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _newest_first(whole: Values, *, exclude: str) -> list[str]:
    """Return the sittings with a report, except `exclude`, the last one first."""
    created = {
        key.removesuffix(".json"): _created(figures)
        for key, figures in whole["data"].items()
        if key.endswith(".json") and key != f"{exclude}.json"
    }
    return sorted(created, key=created.__getitem__, reverse=True)


def _values_of(stored: Values, sittings: Iterable[str]) -> Values:
    """Return the stored values of these sittings."""
    kept = set(sittings)
    return {field: {k: v for k, v in held.items() if _sitting(k) in kept} for field, held in stored.items()}


def _sitting(key: str) -> str:
    match = _KEY.fullmatch(key)
    return match[1] if match else key


def _size(values: Values) -> int:
    """Return the size in bytes as the API server counts it."""
    text = sum(len(each.encode()) for each in values["data"].values())
    return text + sum(len(each) * 3 // 4 for each in values["binaryData"].values())


def _text(report: Report) -> str:
    stream = io.StringIO()
    print_report(report, stream)
    return stream.getvalue()


def _created(figures: str) -> str:
    match = re.search(r'"created":"([^"]+)"', figures)
    return match[1] if match else ""
