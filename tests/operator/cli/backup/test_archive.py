"""A backup's file: a whole one is read back, and every change to it is detected."""

import gzip
import hashlib
import io
import json
from collections.abc import Callable

import pytest

from mcq_operator.api import Manifest
from mcq_operator.cli.backup import archive
from mcq_operator.cli.backup.errors import CorruptError

ITEMS: list[Manifest] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"map-{number}"}, "data": {"a": "é" * 99}}
    for number in range(3)
]


def packed(*, close: bool = True) -> io.BytesIO:
    file = io.BytesIO()
    writer = archive.Writer(file, namespace="team", created="2026-11-28T12:00:00+00:00")
    for item in ITEMS:
        writer.add(item)
    if close:
        writer.close()
    return file


def lines(change: Callable[[list[str]], list[str]]) -> io.BytesIO:
    """The file with other lines, well packed."""
    text = gzip.decompress(packed().getvalue()).decode()
    return io.BytesIO(gzip.compress("".join(change(text.splitlines(keepends=True))).encode()))


def verify(file: io.BytesIO) -> archive.Contents:
    """Verify the file against its current digest, so that only its content can fail."""
    return archive.verify(file, of=hashlib.sha256(file.getvalue()).hexdigest())


def test_an_archive_returns_its_objects_in_order_and_its_manifest_counts_them() -> None:
    file = packed()
    contents = verify(file)
    assert (contents.namespace, contents.count("ConfigMap"), contents.count("MCQSolver")) == ("team", 3, 0)
    assert list(archive.objects(file)) == ITEMS


def test_the_same_objects_make_the_same_file() -> None:
    assert packed().getvalue() == packed().getvalue()


@pytest.mark.parametrize("place", [0, 40, -1])
def test_the_digest_in_the_name_detects_a_changed_byte(place: int) -> None:
    file = packed()
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    changed = bytearray(file.getvalue())
    changed[place] ^= 1
    with pytest.raises(CorruptError, match="its name says"):
        archive.verify(io.BytesIO(changed), of=digest)


def test_a_truncated_result_is_ignored() -> None:
    whole = packed().getvalue()
    with pytest.raises(CorruptError, match="can't be unpacked"):
        verify(io.BytesIO(whole[:-20]))
    with pytest.raises(CorruptError, match="no manifest at its end"):
        verify(lines(lambda actual: actual[:-1]))
    with pytest.raises(CorruptError, match="no manifest at its end"):
        verify(io.BytesIO(b""))


def test_verify_detects_a_changed_added_or_removed_object() -> None:
    for change in (
        lambda actual: [actual[0].replace("map-0", "map-9"), *actual[1:]],
        lambda actual: [actual[0], *actual],
        lambda actual: actual[1:],
        lambda actual: [actual[1], actual[0], *actual[2:]],
    ):
        with pytest.raises(CorruptError, match="its objects differ from its manifest"):
            verify(lines(change))


def test_a_later_releases_format_is_refused() -> None:
    def later(actual: list[str]) -> list[str]:
        manifest = json.loads(actual[-1])
        manifest["manifest"] |= {"format": 2, "operator": "9.0.0"}
        return [*actual[:-1], json.dumps(manifest)]

    with pytest.raises(CorruptError, match=r"format 2 of operator 9\.0\.0; this operator, .+ reads format 1"):
        verify(lines(later))


def test_an_empty_manifest_is_an_error() -> None:
    with pytest.raises(CorruptError, match="its manifest can't be read"):
        verify(lines(lambda actual: [*actual[:-1], '{"manifest": {"format": 1}}']))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("[1]\n", id="no object"),
        pytest.param("[" * 100_000 + "\n", id="too deep"),
        pytest.param('{"manifest": 1}\n', id="a manifest that is none"),
        pytest.param('{"a": "' + "x" * archive.LONGEST_LINE + '"}\n', id="a line without end"),
    ],
)
def test_an_unwritten_line_is_corrupt(line: str) -> None:
    with pytest.raises(CorruptError):
        verify(lines(lambda old: [*old[:-1], line]))
