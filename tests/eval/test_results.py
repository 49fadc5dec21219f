"""Exam Pods store their results and report the digests; they check the size before they ask anything."""

import argparse
import asyncio
import base64
import gzip
import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.eval.fakes import FakeAnswerer, run

from mcq_eval import evidence, shard_command
from mcq_eval.config_maps import Account, ConfigMaps, Patch, Values
from mcq_eval.dataset.exam import ExamQuestion
from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.errors import ResultsNotStored, ResultUnreadable, TooManyQuestions
from mcq_eval.parts import Part, placeholder_part
from mcq_eval.report.rows import read_stored_rows
from mcq_eval.results import MAX_PART_BYTES, ResultStore, check_size
from mcq_service.api.mcq.question_schemas import Question


def questions(count: int) -> list[ExamQuestion]:
    answers = random.Random(1)
    return [
        ExamQuestion(
            id=f"mmlu/a_subject_of_many_test/{number}",
            subject="a subject",
            question=Question(question="Which?", choices=["a", "b", "c", "d"]),
            answer=answers.randrange(4),
            digest=hashlib.sha256(str(number).encode()).hexdigest(),
        )
        for number in range(count)
    ]


async def test_an_earlier_result_is_read_from_the_parts_of_a_job(exam: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baseline"
    folder.mkdir()
    shares = [await run(FakeAnswerer(), exam, shard=shard, shards=11) for shard in range(11)]
    files = [gzip.compress(each.model_dump_json().encode()) for each in shares]
    for number, content in enumerate(files):
        (folder / f"{number}.json.gz").write_bytes(content)
    result = json.dumps({"parts": [sha256(each) for each in files]}).encode()
    (folder / "result.json").write_bytes(result)
    assert read_stored_rows(folder, sha256(result)) == [row for each in shares for row in each.rows]
    for name in ("1.json.gz", "result.json"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(gzip.compress(b"{}"))
        with pytest.raises(
            ResultUnreadable, match=f"{name} was changed: it is not the file that the Pods of that exam wrote"
        ):
            read_stored_rows(folder, sha256(result))
        (folder / name).write_bytes(before)
    (folder / "1.json.gz").unlink()
    with pytest.raises(ResultUnreadable, match=r"1.json.gz can't be read"):
        read_stored_rows(folder, sha256(result))


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class MemoryConfigMaps(ConfigMaps):
    """ConfigMaps in memory."""

    def __init__(self, stored: dict[str, Values]) -> None:
        super().__init__(Account(url="", namespace="", token_file=Path()))
        self._stored = stored

    async def _call(self, method: str, name: str, patch: Patch | None = None) -> Values:
        config_map = self._stored.setdefault(name, {"data": {}, "binaryData": {}})
        for field, changes in (patch or {}).items():
            merged = {**config_map[field], **changes}
            config_map[field] = {key: value for key, value in merged.items() if value is not None}
        return {field: {**values} for field, values in config_map.items()}


class Pod(Protocol):
    """Run the Pod of one of two shards with `part` as its result; return its termination message."""

    def __call__(self, number: int, part: Part, *, run: str = "job") -> Mapping[str, Any] | None: ...


@pytest.fixture
def stored() -> dict[str, Values]:
    """Return the ConfigMaps by name."""
    return {}


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stored: dict[str, Values]) -> Pod:
    """Return the function that runs a Pod."""
    log = tmp_path / "termination-log"
    monkeypatch.setattr(evidence, "TERMINATION_LOG", log)
    monkeypatch.setattr(shard_command, "pod_account", lambda _: None)
    monkeypatch.setattr(shard_command, "ConfigMaps", lambda _: MemoryConfigMaps(stored))
    limits = dict.fromkeys(["min_accuracy", "max_regression", "max_calibration_error", "max_p95_seconds"])

    def run_pod(number: int, part: Part, *, run: str = "job") -> Mapping[str, Any] | None:
        async def run_shard(_: argparse.Namespace) -> Part:
            return part

        monkeypatch.setattr(shard_command, "_run_shard", run_shard)
        log.write_text("")
        arguments = {
            "results": "aqua",
            "sitting": "sat",
            "run": run,
            "shard": number,
            "shards": 2,
            "history": 3,
            "before": None,
        }
        shard_command.run(argparse.Namespace(**arguments, **limits))
        termination_message: Mapping[str, Any] | None = json.loads(log.read_text() or "null")
        return termination_message

    return run_pod


def packed(stored: Mapping[str, Values], number: int) -> bytes:
    return base64.b64decode(stored[f"aqua-{number}"]["binaryData"]["sat.rows.json.gz"])


def share(exam: Path, number: int, best: int = 1) -> Part:
    return asyncio.run(run(FakeAnswerer(best), exam, shard=number, shards=2))


def test_each_pod_states_its_digest_and_the_last_one_the_results(
    exam: Path, pod: Pod, stored: dict[str, Values]
) -> None:
    shares = [share(exam, number) for number in range(2)]
    assert pod(1, shares[1]) == {"part": sha256(packed(stored, 1)), "result": None}
    assert pod(0, shares[0]) == {
        "part": sha256(packed(stored, 0)),
        "result": sha256(stored["aqua"]["data"]["sat.json"].encode()),
    }
    result = json.loads(stored["aqua"]["data"]["sat.json"])
    assert result["parts"] == [sha256(packed(stored, number)) for number in range(2)]


def test_a_repeated_share_replaces_the_first_one_in_the_result(
    exam: Path, pod: Pod, stored: dict[str, Values]
) -> None:
    """The lost Pod reported no digest, so nothing could prove a result with its answers."""
    first, repeated, other = [share(exam, number, best) for best, number in ((1, 0), (2, 0), (1, 1))]
    pod(0, first)
    pod(1, other)
    before = stored["aqua"]["data"]["sat.json"]
    stated = pod(0, repeated)
    text = stored["aqua"]["data"]["sat.json"]
    assert text != before
    assert stated == {"part": sha256(packed(stored, 0)), "result": sha256(text.encode())}
    assert json.loads(text)["figures"]["accuracy"]["total"] == len(first.rows) + len(other.rows)
    assert Part.model_validate_json(gzip.decompress(packed(stored, 0))) == repeated


def test_a_new_job_of_the_same_name_uses_only_its_own_answers(
    exam: Path, pod: Pod, stored: dict[str, Values]
) -> None:
    """The model may have changed, and a result must not mix answers of two models."""
    old, new = ([share(exam, number, best) for number in range(2)] for best in (1, 2))
    pod(0, old[0])
    pod(1, old[1])
    before = stored["aqua"]["data"]["sat.json"]
    stated = pod(0, new[0], run="again")
    assert stated is not None
    assert stated["result"] is None
    assert stored["aqua"]["data"]["sat.json"] == before
    pod(1, new[1], run="again")
    result = json.loads(stored["aqua"]["data"]["sat.json"])
    assert result["parts"] == [sha256(packed(stored, number)) for number in range(2)]


def test_a_failing_pod_writes_no_termination_message_so_kubernetes_shows_its_log(
    exam: Path, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any, **__: Any) -> str:
        raise ResultsNotStored("403")

    monkeypatch.setattr(ResultStore, "publish", refused)
    pod(0, share(exam, 0))
    assert pod(1, share(exam, 1)) is None


def test_too_many_questions_are_refused_with_a_sufficient_parallelism() -> None:
    many = questions(10_000)
    with pytest.raises(
        TooManyQuestions, match=r"10000 questions take about \d+ KiB, .* set spec.parallelism to 2,"
    ):
        check_size(many, shards=1)
    check_size(many[: len(many) // 2], shards=2)
    with pytest.raises(TooManyQuestions, match="take fewer questions"):
        check_size(many, shards=64)


async def test_the_expected_size_is_close_to_the_real_size(exam: Path) -> None:
    part = await run(FakeAnswerer(), exam)
    expected = placeholder_part(read_exams([exam]).questions)
    assert [(row.id, row.digest) for row in expected.rows] == [(row.id, row.digest) for row in part.rows]
    actual_size, expected_size = (
        len(gzip.compress(each.model_dump_json().encode())) for each in (part, expected)
    )
    # The fake answers are all alike, so they compress better.
    assert actual_size <= expected_size < MAX_PART_BYTES / 10
