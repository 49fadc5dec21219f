"""`python -m mcq_operator exam report NAME`: the full report of an exam, from the ConfigMap of its results."""

import asyncio
import base64
import json
import sys
import zlib
from typing import Literal

from kubernetes.aio.config import ConfigException

from mcq_operator.api import ExamKey, Manifest, names
from mcq_operator.api.exam_status import MAX_SHARDS
from mcq_operator.api.kinds import CONFIG_MAP
from mcq_operator.api.text import escape_controls
from mcq_operator.client import Client, Cluster, ClusterError, connect

Format = Literal["text", "json", "html"]
LONGEST_REPORT = 64 * 2**20
"""Bytes. Anyone who may write ConfigMaps can pack anything into one."""
_SUFFIXES: dict[Format, str] = {"text": "txt", "json": "json", "html": "html"}


class ReportError(Exception):
    """The report does not exist or can't be read. The message says what exists."""


def print_report(key: ExamKey, *, sitting: str | None, form: Format, context: str | None = None) -> None:
    """Print the report of the last sitting, or of the named one, from KUBECONFIG's context. Raises ReportError."""
    content = asyncio.run(_report(key, sitting=sitting, form=form, context=context))
    if form == "text" or sys.stdout.isatty():
        sys.stdout.write(escape_controls(content.decode(errors="replace")))
    else:
        sys.stdout.buffer.write(content)


async def _report(key: ExamKey, *, sitting: str | None, form: Format, context: str | None) -> bytes:
    try:
        async with await connect(connections=1, context=context) as api_client:
            client = Client(api_client)
            exam = await Cluster(client).exam(key)
            if exam is None:
                message = f"There is no MCQExam {key}."
                raise ReportError(message)
            last = exam.status.report
            if last is None:
                complete = exam.status.condition("Complete")
                detail = f" {complete.message}" if complete else ""
                message = f"MCQExam {key} has no result yet.{detail}"
                raise ReportError(message)
            name = sitting or last.name
            results = await client.get(CONFIG_MAP, namespace=key.namespace, name=last.config_map) or {}
            content = _content(results, name, form)
            if form != "json":
                return content
            return _with_rows(content, name, await _shards(client, key, last.config_map, content))
    except (ClusterError, ConfigException) as error:
        message = f"Can't read MCQExam {key}: {error}"
        raise ReportError(message) from error


async def _shards(client: Client, key: ExamKey, results: str, report: bytes) -> list[Manifest]:
    """Return the results ConfigMap of each shard of the report."""
    shards = _read(report)["shards"]
    if not isinstance(shards, int) or not 0 <= shards <= MAX_SHARDS:
        message = f"Can't read the report: it is of {shards!r} shards. Run the exam again."
        raise ReportError(message)
    config_maps = [names.shard_results_name(results, shard) for shard in range(shards)]
    return [await client.get(CONFIG_MAP, namespace=key.namespace, name=name) or {} for name in config_maps]


def _with_rows(report: bytes, sitting: str, shards: list[Manifest]) -> bytes:
    """Return the report with its questions, in their order. Raises ReportError."""
    rows = []
    for shard in shards:
        packed = shard.get("binaryData", {}).get(names.rows_key(sitting))
        if packed is None:
            message = (
                f"The questions of {sitting} are gone: the ConfigMap had no room for them, or spec.parallelism was"
                " lowered. The report's other forms, text and html, still exist."
            )
            raise ReportError(message)
        rows += _read(_unpack(packed, sitting))["rows"]
    return json.dumps({**_read(report), "rows": rows}, ensure_ascii=False).encode()


def _read(report: bytes) -> Manifest:
    """Parse a report or a share of one, which the service wrote. Raises ReportError."""
    try:
        return {"shards": None, "rows": [], **json.loads(report)}
    except (ValueError, TypeError, RecursionError) as error:
        message = f"Can't read the report: {error}. Run the exam again."
        raise ReportError(message) from error


def _content(results: Manifest, sitting: str, form: Format) -> bytes:
    files: dict[str, str] = results.get("binaryData", {})
    suffix = f".report.{_SUFFIXES[form]}.gz"
    if (packed := files.get(f"{sitting}{suffix}")) is None:
        sittings = sorted(name.removesuffix(suffix) for name in files if name.endswith(suffix))
        message = f"There is no report of {sitting}. Sittings with a report: {', '.join(sittings) or 'none'}."
        raise ReportError(message)
    return _unpack(packed, sitting)


def _unpack(packed: str, sitting: str) -> bytes:
    """Return the content of a gzip file in base64. Raises ReportError."""
    try:
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        content = decompressor.decompress(base64.b64decode(packed), LONGEST_REPORT)
    except (ValueError, zlib.error) as error:
        message = f"Can't unpack the report of {sitting}: {error}. Run the exam again."
        raise ReportError(message) from error
    if not decompressor.eof:
        message = (
            f"Can't unpack the report of {sitting}: it is truncated, or has more than {LONGEST_REPORT >> 20} MiB. Run"
            " the exam again."
        )
        raise ReportError(message)
    return content
