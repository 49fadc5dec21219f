"""Exams of typed questions: predicates and scores."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.eval.fakes import PREPARED, evaluate
from tests.service.fakes import FakeTexts, Replica
from tests.service.local import listening

from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.dataset.typed_question import DecisionQuestion
from mcq_eval.errors import ExamUnreadable
from mcq_eval.report.html_page import render_page
from mcq_eval.report.tables import print_report
from mcq_eval.runner import runner
from mcq_eval.runner.answerers import InProcess
from mcq_eval.runner.runner import ExamSpec
from mcq_eval.runner.service_client import ServiceClient, connect
from mcq_eval.runner.typed_answers import AT_ONCE, answers_of_both
from mcq_service.api.mcq.answer_schemas import Result, Results
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.prompts import CHATML

PREDICATE = {
    "id": "p",
    "type": "predicate",
    "input": "Fire is hot.",
    "instructions": "It is warm.",
    "answer": True,
}
SCORE = {
    "id": "s", "type": "score", "input": "Great!", "instructions": "How good was it?", "subject": "reviews",
    "levels": ["bad", "fair", "good"], "answer": "good",
}  # fmt: skip
CHOICE = {"id": "c", "question": "Which is a fruit?", "choices": ["stone", "apple", "car"], "answer": "B"}


def exam(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Write an exam with a question of each type; ids may be numbers."""
    other = {**SCORE, "id": 4, "input": "Well.", "answer": 0}
    return exam(tmp_path / "mixed.jsonl", PREDICATE, CHOICE, SCORE, other, {**SCORE, "id": "again"})


def test_questions_of_all_types_are_read(mixed: Path) -> None:
    """Duplicates are left out, as of other questions."""
    read = read_exams([mixed])
    assert [each.id for each in read.select("all")] == ["c", "p", "s", "4"]
    assert [(each.labels, each.answer) for each in read.typed] == [
        (["True", "False"], 0),
        (["bad", "fair", "good"], 2),
        (["bad", "fair", "good"], 0),
    ]
    assert len(read.duplicates) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({**PREDICATE, "answer": "yes"}, "answer: write true or false"),
        ({**PREDICATE, "answer": 1}, "answer: write true or false"),
        ({**PREDICATE, "levels": ["a", "b"]}, "a predicate has no levels"),
        ({**PREDICATE, "type": "choice"}, "type: Input should be 'predicate' or 'score'"),
        ({**PREDICATE, "input": " "}, "input must not be blank"),
        ({**SCORE, "levels": None}, "a score needs levels"),
        ({**SCORE, "levels": ["good"]}, "at least 2 items"),
        ({**SCORE, "levels": ["good", "good"]}, "levels must be unique"),
        ({**SCORE, "answer": 3}, "answer: write a level, or its position from 0"),
        ({**SCORE, "answer": -1}, "answer: write a level, or its position from 0"),
        ({**SCORE, "answer": True}, "answer: write a level, or its position from 0"),
        ({**SCORE, "answer": "great"}, "answer: write a level, or its position from 0"),
        ({"type": "score", "id": "a"}, "input: Field required"),
        (
            {**SCORE, "levels": ["1", "2", "3"], "answer": 1},
            r'answer: 1 may mean the level "1" or the level "2"',
        ),
        (
            {**SCORE, "levels": ["-1", "0", "1"], "answer": 0},
            r'answer: 0 may mean the level "0" or the level "-1"',
        ),
    ],
)
def test_an_invalid_line_is_an_error_that_names_it(tmp_path: Path, line: dict[str, Any], reason: str) -> None:
    with pytest.raises(ExamUnreadable, match=r"exam\.jsonl:2: .*" + reason):
        read_exams([exam(tmp_path / "exam.jsonl", CHOICE, line)])


def test_a_number_that_means_one_level_is_an_answer(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {**SCORE, "levels": ["0", "1", "2"], "answer": 1},
        {**SCORE, "levels": ["1", "2", "3"], "answer": "1"},
    ]
    read = read_exams([exam(tmp_path / "exam.jsonl", *lines)])
    assert [each.labels[each.answer] for each in read.typed] == ["1", "1"]


async def test_a_service_and_a_model_in_process_give_the_same_report(mixed: Path) -> None:
    """The scripted model chooses the second option, so the two orders of a predicate cancel."""
    replica = Replica(FakeTexts())
    replica.load(debias="prior")
    assert replica.lifecycle.backend
    inside = await evaluate(InProcess(replica.lifecycle.backend), mixed)
    async with listening(replica) as url, httpx2.AsyncClient(base_url=url) as client:
        outside = await evaluate(ServiceClient(client), mixed)
    replica.close()
    drop = {"created", "seconds", "latency", "rows"}
    assert inside.model_dump(exclude=drop) == outside.model_dump(exclude=drop)
    rows = {row.id: row for row in outside.rows}
    assert {name: (row.type, row.chosen) for name, row in rows.items()} == {
        "c": ("choice", "B"),
        "p": ("predicate", "True"),
        "s": ("score", "fair"),
        "4": ("score", "fair"),
    }
    assert rows["p"].probabilities == pytest.approx([0.5, 0.5]), "asked in both orders"
    assert outside.figures.level_error == pytest.approx(1)
    assert outside.figures.subjects["reviews"].total == 2
    text = io.StringIO()
    print_report(outside, text)
    assert "error of scores" in text.getvalue()
    assert "1.000 levels" in text.getvalue()
    assert "Error of scores" in render_page(outside)


async def test_the_threshold_of_a_mixed_exam_is_of_its_multiple_choice_questions(
    mixed: Path, tmp_path: Path
) -> None:
    replica = Replica(FakeTexts())
    replica.load()
    assert replica.lifecycle.backend
    inside = InProcess(replica.lifecycle.backend)
    typed = await evaluate(inside, exam(tmp_path / "typed.jsonl", PREDICATE, SCORE))
    assert [
        (await evaluate(inside, mixed)).figures.risk_coverage[0].total,
        typed.figures.risk_coverage[0].total,
    ] == [1, 2]
    replica.close()


async def test_a_minimum_confidence_refuses_users_but_no_exam(mixed: Path) -> None:
    """An exam measures the model at every confidence. The API gives no probabilities of a refusal."""
    replica = Replica(FakeTexts())
    replica.load(min_confidence=0.9)
    async with listening(replica) as url:
        async with connect(url, None) as service:
            report = await evaluate(service, mixed)
        async with httpx2.AsyncClient(base_url=url) as client:
            refused = await evaluate(ServiceClient(client), mixed)
    replica.close()
    assert len(report.rows) == 4
    assert not report.failures
    assert [row.id for row in refused.rows] == ["c"]
    assert {failure.detail for failure in refused.failures} == {
        "Refused: The confidence is below the service's minimum."
    }
    assert refused.figures.level_error is None


async def test_typed_questions_are_asked_a_few_at_once() -> None:
    """Each is a request of its own; all of them at once would fill the service's queue."""
    question = DecisionQuestion.model_validate(PREDICATE)
    running, most = 0, 0

    async def ask(_: DecisionQuestion) -> Result:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0)
        running -= 1
        return Result(index=0, answer=None, problem=None)

    async def no_choices(_: list[Question]) -> Results:
        raise AssertionError

    results = await answers_of_both([question] * 20, no_choices, ask)
    assert [each.index for each in results.results] == [*range(20)]
    assert most == AT_ONCE


async def test_a_calibration_uses_the_multiple_choice_questions_alone(tmp_path: Path) -> None:
    """Typed ones are debiased by asking in both orders."""
    replica = Replica(FakeTexts())
    replica.load()
    spec = ExamSpec(read_exams([exam(tmp_path / "typed.jsonl", PREDICATE, SCORE)]), "all")
    with pytest.raises(ExamUnreadable, match="needs multiple-choice questions"):
        await runner.calibrate(replica.mcq, spec, PREPARED, CHATML, stream=io.StringIO())
    replica.close()
