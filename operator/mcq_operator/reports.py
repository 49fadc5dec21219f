"""The whole report of an exam, from the ConfigMap of its results: `python -m mcq_operator exam report NAME`."""

import base64
import json
import zlib
from typing import Literal

from kubernetes.aio.config import ConfigException

from .kube import Api, Cluster, ClusterError, connect
from .models import ExamKey, Manifest, names
from .models.kinds import CONFIG_MAP

Format = Literal["text", "json", "html"]
LONGEST_REPORT = 64 * 2**20
"""Bytes: whoever may write ConfigMaps chooses what is packed in one."""
MOST_SHARDS = 64
"""The most that spec.parallelism may be."""
_SUFFIXES: dict[Format, str] = {"text": "txt", "json": "json", "html": "html"}


class ReportError(Exception):
    """There is no such report; the message says what there is."""


async def report(key: ExamKey, *, sitting: str | None, form: Format) -> bytes:
    """The report of the last sitting, or of the one that is named. Raises ReportError."""
    try:
        async with await connect(connections=1) as api_client:
            api = Api(api_client, wrote=lambda *_: None)
            exam = await Cluster(api).exam(key)
            if exam is None:
                message = f"There is no MCQExam {key}."
                raise ReportError(message)
            last = exam.status.report
            if last is None:
                conditions = {each.type: each for each in exam.status.conditions}
                why = f" {conditions['Complete'].message}" if "Complete" in conditions else ""
                message = f"MCQExam {key} has no result yet.{why}"
                raise ReportError(message)
            name = sitting or last.name
            kept = await api.get(CONFIG_MAP, namespace=key.namespace, name=last.config_map) or {}
            content = _content(kept, name, form)
            if form != "json":
                return content
            return _with_rows(content, name, await _shards(api, key, last.config_map, content))
    except (ClusterError, ConfigException) as error:
        message = f"MCQExam {key} can't be read: {error}"
        raise ReportError(message) from error


async def _shards(api: Api, key: ExamKey, results: str, report: bytes) -> list[Manifest]:
    """What each shard of the report has kept."""
    shards = _read(report)["shards"]
    if not isinstance(shards, int) or not 0 <= shards <= MOST_SHARDS:
        message = f"The report can't be read: it is of {shards!r} shares. Have the exam sat again."
        raise ReportError(message)
    found = [names.shard_results_name(results, shard) for shard in range(shards)]
    return [await api.get(CONFIG_MAP, namespace=key.namespace, name=name) or {} for name in found]


def _with_rows(report: bytes, sitting: str, shards: list[Manifest]) -> bytes:
    """The report with its questions, in their order. Raises ReportError."""
    rows = []
    for shard in shards:
        packed = shard.get("binaryData", {}).get(names.rows_key(sitting))
        if packed is None:
            message = (
                f"The questions of {sitting} are not kept any more: there was no room for so many, or spec.parallelism"
                " was lowered. The other forms of the report, text and html, are."
            )
            raise ReportError(message)
        rows += _read(_unpacked(packed, sitting))["rows"]
    return json.dumps({**_read(report), "rows": rows}, ensure_ascii=False).encode()


def _read(report: bytes) -> Manifest:
    """Return a report, or a share of one, of the service's making. Raises ReportError."""
    try:
        return {"shards": None, "rows": [], **json.loads(report)}
    except (ValueError, TypeError, RecursionError) as error:
        message = f"The report can't be read: {error}. Have the exam sat again."
        raise ReportError(message) from error


def _content(kept: Manifest, sitting: str, form: Format) -> bytes:
    found: dict[str, str] = kept.get("binaryData", {})
    suffix = f".report.{_SUFFIXES[form]}.gz"
    if (packed := found.get(f"{sitting}{suffix}")) is None:
        sittings = sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix))
        message = f"There is no report of {sitting}; there is one of {', '.join(sittings) or 'no sitting'}."
        raise ReportError(message)
    return _unpacked(packed, sitting)


def _unpacked(packed: str, sitting: str) -> bytes:
    """Return the content of a gzip file in base64. Raises ReportError."""
    try:
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        content = unpacking.decompress(base64.b64decode(packed), LONGEST_REPORT)
    except (ValueError, zlib.error) as error:
        message = f"The report of {sitting} can't be unpacked: {error}. Have the exam sat again."
        raise ReportError(message) from error
    if not unpacking.eof:
        message = (
            f"The report of {sitting} can't be unpacked: it is cut short, or has more than {LONGEST_REPORT >> 20} MiB."
            " Have the exam sat again."
        )
        raise ReportError(message)
    return content
