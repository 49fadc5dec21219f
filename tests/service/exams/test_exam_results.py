"""Whether the answers to an exam have room where they are kept is known before any question is asked."""

import gzip
import hashlib
import random
from pathlib import Path

import pytest
from tests.service.exams.test_exam_commands import Scripted, exam, sat

from mcq_service.api.mcq.schemas import Question
from mcq_service.exams.errors import ResultUnreadable, TooManyQuestions
from mcq_service.exams.parts import placeholder
from mcq_service.exams.questions import ExamQuestion, read
from mcq_service.exams.report import unpacked_rows
from mcq_service.exams.results import LARGEST_PART, check_room

__all__ = ["exam"]  # the fixture


def questions(count: int) -> list[ExamQuestion]:
    answers = random.Random(1)  # noqa: S311 - a fixed sequence
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


async def test_an_earlier_result_is_read_from_the_shares_that_a_job_has_kept(
    exam: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "baseline"
    folder.mkdir()
    shares = [await sat(Scripted(), exam, shard=shard, shards=3) for shard in range(3)]
    for shard, each in enumerate(shares):
        (folder / f"{shard}.json.gz").write_bytes(gzip.compress(each.model_dump_json().encode()))
    assert unpacked_rows(folder) == [row for each in shares for row in each.rows]
    (folder / "1.json.gz").write_bytes(b"cut")
    with pytest.raises(ResultUnreadable, match=r"1.json.gz can't be read"):
        unpacked_rows(folder)


def test_too_many_questions_are_refused_with_the_parallelism_that_has_room() -> None:
    many = questions(10_000)
    with pytest.raises(
        TooManyQuestions, match=r"10000 questions take about \d+ KiB, .* set spec.parallelism to 2,"
    ):
        check_room(many, shards=1)
    check_room(many[: len(many) // 2], shards=2)
    with pytest.raises(TooManyQuestions, match="take fewer questions"):
        check_room(many, shards=64)


async def test_the_room_that_is_expected_is_about_what_the_answers_take(exam: Path) -> None:
    part = await sat(Scripted(), exam)
    expected = placeholder(read([exam]).questions)
    assert [(row.id, row.digest) for row in expected.rows] == [(row.id, row.digest) for row in part.rows]
    true, guessed = (len(gzip.compress(each.model_dump_json().encode())) for each in (part, expected))
    # The scripted answers are all alike, and take less.
    assert true <= guessed < LARGEST_PART / 10
