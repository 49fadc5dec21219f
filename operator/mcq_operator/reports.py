"""The whole report of an exam, from the ConfigMap of its results: `python -m mcq_operator exam report NAME`."""

import base64
import zlib
from typing import Literal

from kubernetes.aio.config import ConfigException

from .kube import Api, Cluster, ClusterError, connect
from .models import ExamKey, Manifest
from .models.kinds import CONFIG_MAP

Format = Literal["text", "json", "html"]
LONGEST_REPORT = 64 * 2**20
"""Bytes: whoever may write ConfigMaps chooses what is packed in one."""
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
            kept = await api.get(CONFIG_MAP, namespace=key.namespace, name=last.config_map)
    except (ClusterError, ConfigException) as error:
        message = f"MCQExam {key} can't be read: {error}"
        raise ReportError(message) from error
    return _content(kept or {}, sitting or last.name, form)


def _content(kept: Manifest, sitting: str, form: Format) -> bytes:
    found: dict[str, str] = kept.get("binaryData", {})
    suffix = f".report.{_SUFFIXES[form]}.gz"
    if (packed := found.get(f"{sitting}{suffix}")) is None:
        sittings = sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix))
        message = f"There is no report of {sitting}; there is one of {', '.join(sittings) or 'no sitting'}."
        raise ReportError(message)
    try:
        return _unpacked(base64.b64decode(packed))
    except (ValueError, zlib.error) as error:
        message = f"The report of {sitting} can't be unpacked: {error}. Have the exam sat again."
        raise ReportError(message) from error


def _unpacked(packed: bytes) -> bytes:
    """Return the content of a gzip file. Raises ValueError, zlib.error."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = unpacking.decompress(packed, LONGEST_REPORT)
    if not unpacking.eof:
        message = f"it is cut short, or has more than {LONGEST_REPORT >> 20} MiB"
        raise ValueError(message)
    return content
