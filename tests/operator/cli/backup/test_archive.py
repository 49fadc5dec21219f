"""A backup's archive is read back, and every change to it is detected."""

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


def archive_file() -> io.BytesIO:
    file = io.BytesIO()
    writer = archive.Writer(file, namespace="team", created="2026-11-28T12:00:00+00:00")
    for item in ITEMS:
        writer.add(item)
    writer.close()
    return file


def changed_archive(change: Callable[[list[str]], list[str]]) -> io.BytesIO:
    """Return a valid gzip file of an archive with changed lines."""
    text = gzip.decompress(archive_file().getvalue()).decode()
    return io.BytesIO(gzip.compress("".join(change(text.splitlines(keepends=True))).encode()))


def verify(file: io.BytesIO) -> archive.BackupManifest:
    """Verify the file against its current digest, so that only its content can fail."""
    return archive.verify(file, of=hashlib.sha256(file.getvalue()).hexdigest())


def test_an_archive_returns_its_objects_in_order_and_its_manifest_counts_them() -> None:
    file = archive_file()
    manifest = verify(file)
    assert (manifest.namespace, manifest.count("ConfigMap"), manifest.count("MCQSolver")) == ("team", 3, 0)
    assert list(archive.objects(file)) == ITEMS


def test_the_same_objects_give_the_same_file() -> None:
    assert archive_file().getvalue() == archive_file().getvalue()


@pytest.mark.parametrize("position", [0, 40, -1])
def test_the_digest_in_the_name_detects_a_changed_byte(position: int) -> None:
    file = archive_file()
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    changed = bytearray(file.getvalue())
    changed[position] ^= 1
    with pytest.raises(CorruptError, match="its name says"):
        archive.verify(io.BytesIO(changed), of=digest)


def test_a_truncated_archive_is_corrupt() -> None:
    content = archive_file().getvalue()
    with pytest.raises(CorruptError, match="can't be unpacked"):
        verify(io.BytesIO(content[:-20]))
    with pytest.raises(CorruptError, match="no manifest at its end"):
        verify(changed_archive(lambda lines: lines[:-1]))
    with pytest.raises(CorruptError, match="no manifest at its end"):
        verify(io.BytesIO(b""))


def test_verify_detects_a_changed_added_or_removed_object() -> None:
    for change in (
        lambda lines: [lines[0].replace("map-0", "map-9"), *lines[1:]],
        lambda lines: [lines[0], *lines],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
    ):
        with pytest.raises(CorruptError, match="its objects differ from its manifest"):
            verify(changed_archive(change))


def test_the_format_of_a_later_release_is_refused() -> None:
    def later(lines: list[str]) -> list[str]:
        manifest = json.loads(lines[-1])
        manifest["manifest"] |= {"format": 2, "operator": "9.0.0"}
        return [*lines[:-1], json.dumps(manifest)]

    with pytest.raises(CorruptError, match=r"format 2 of operator 9\.0\.0; this operator, .+ reads format 1"):
        verify(changed_archive(later))


def test_an_incomplete_manifest_is_corrupt() -> None:
    with pytest.raises(CorruptError, match="its manifest can't be read"):
        verify(changed_archive(lambda lines: [*lines[:-1], '{"manifest": {"format": 1}}']))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("[1]\n", id="no object"),
        pytest.param("[" * 100_000 + "\n", id="too deep"),
        pytest.param('{"manifest": 1}\n', id="an invalid manifest"),
        pytest.param('{"a": "' + "x" * archive.LONGEST_LINE + '"}\n', id="a line that is too long"),
    ],
)
def test_a_line_that_no_operator_writes_is_corrupt(line: str) -> None:
    with pytest.raises(CorruptError):
        verify(changed_archive(lambda lines: [*lines[:-1], line]))
