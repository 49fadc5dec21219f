"""A report is unpacked only up to its size limit."""

import base64
import gzip

import pytest

from mcq_operator.api import ExamKey, Manifest
from mcq_operator.cli.exam_report import LONGEST_REPORT, ReportError, _content, _shards
from mcq_operator.client import Client


def results(content: bytes) -> Manifest:
    return {"binaryData": {"demo-1.report.txt.gz": base64.b64encode(content).decode()}}


def test_a_report_is_unpacked() -> None:
    assert _content(results(gzip.compress(b"accuracy 1")), "demo-1", "text") == b"accuracy 1"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(bytes(LONGEST_REPORT + 1)), id="too long"),
        pytest.param(gzip.compress(b"accuracy 1")[:-9], id="truncated"),
        pytest.param(b"accuracy 1", id="not compressed"),
        pytest.param(b"", id="empty"),
    ],
)
def test_an_unreadable_report_is_an_error_with_advice(content: bytes) -> None:
    with pytest.raises(ReportError, match=r"Can't unpack the report of demo-1: .*Run the exam again"):
        _content(results(content), "demo-1", "text")


@pytest.mark.parametrize(
    "report", [b"no JSON", b"[" * 100_000, b"7", b"{}", b'{"shards": 1000000000}', b'{"shards": "1"}']
)
async def test_a_report_with_an_invalid_number_of_shards_is_an_error_and_no_shard_is_read(
    report: bytes,
) -> None:
    with pytest.raises(ReportError, match=r"Can't read the report: .*Run the exam again"):
        await _shards(Client(None, on_write=lambda *_: None), ExamKey("team", "demo"), "demo-results", report)
