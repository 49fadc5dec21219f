"""Running an exam: every question is asked once, failures are listed, and two results are compared."""

import io
import json
import math
from pathlib import Path

import pytest
from tests.eval.fakes import COUNT, IDENTITY, PREPARED, FakeAnswerer, evaluate, run
from tests.eval.files import exam_file

from mcq_eval.calibration_fit.fit_tables import print_fit
from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.errors import AskingFailed, ResultUnreadable
from mcq_eval.parts import build_report
from mcq_eval.report.rows import Failure, read_rows
from mcq_eval.report.tables import print_report
from mcq_eval.runner import runner
from mcq_eval.runner.runner import ExamSpec
from mcq_eval.verdict import Limits
from mcq_service.api.mcq.answer_schemas import Usage
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.mcq.probabilities import rotations
from mcq_service.prompts import CHATML, Form


@pytest.fixture
def corrected(exam: Path, tmp_path: Path) -> Path:
    """Return the exam with other answers to its first five questions."""
    lines = [json.loads(line) for line in exam.read_text().splitlines()]
    for line in lines[:5]:
        line["answer"] = (line["answer"] + 1) % 3
    return exam_file(tmp_path / "corrected.jsonl", *lines)


async def test_every_question_is_asked_once_in_mode_answer_with_the_options(exam: Path) -> None:
    answerer = FakeAnswerer()
    report = await evaluate(answerer, exam, debias="rotations", min_confidence=0.5)
    assert sorted(each.question for each in answerer.questions) == sorted(
        f"What is number {number}?" for number in range(COUNT)
    )
    assert {(each.mode, each.debias, each.min_confidence) for each in answerer.questions} == {
        ("answer", "rotations", 0.5)
    }
    assert [row.id for row in report.rows] == [f"q{number}" for number in range(COUNT)]


async def test_the_figures_agree_with_the_answers(exam: Path) -> None:
    figures = (await evaluate(FakeAnswerer(best=1), exam)).figures
    assert (figures.accuracy.right, figures.accuracy.total) == (13, COUNT)
    assert figures.ece.value == pytest.approx(0.8 - 13 / COUNT)
    assert [(row.label, row.chosen, row.recall) for row in figures.letters] == [
        ("A", 0, 0),
        ("B", 40, 1),
        ("C", 0, 0),
    ]
    assert figures.subjects["even"].total == 20
    assert figures.confusion["A"] == {"A": 0, "B": 14, "C": 0}
    assert [(each.count, each.accuracy.right) for each in figures.reliability] == [(COUNT, 13)]


async def test_the_thresholds_are_in_the_document_and_in_the_tables(exam: Path) -> None:
    report = await evaluate(FakeAnswerer(best=1), exam, min_confidence=1)
    (point,) = report.figures.risk_coverage
    assert (point.min_confidence, point.coverage, point.right, point.total) == (0, 1, 13, COUNT)
    assert [each.point for each in report.figures.thresholds] == [None] * 4
    whole = report.figures.thresholds[0].model_copy(update={"point": point})
    figures = report.figures.model_copy(update={"thresholds": [whole, *report.figures.thresholds[1:]]})
    text = io.StringIO()
    print_report(report.model_copy(update={"figures": figures}), text)
    lines = [" ".join(line.replace("│", " ").split()) for line in text.getvalue().splitlines()]
    assert "0.7 0.0000 100.0% 0.325 (13 of 40) 0.141 to 0.558" in lines
    assert "0.8 not shown" in lines


async def test_the_time_and_the_tokens_agree_with_the_answers(exam: Path) -> None:
    report = await evaluate(FakeAnswerer(), exam)
    assert (report.latency.p50_ms, report.latency.p95_ms) == (5, 5)
    assert report.tokens == Usage(prompt_tokens=9 * COUNT, completion_tokens=0, cached_tokens=3 * COUNT)


async def test_a_result_of_an_older_release_can_be_compared(exam: Path, tmp_path: Path) -> None:
    report = await evaluate(FakeAnswerer(), exam)
    path = tmp_path / "earlier.json"
    path.write_text(report.model_dump_json(include={"format", "rows"}))
    assert read_rows(path) == report.rows


async def test_a_failed_question_counts_in_no_figure_and_is_reported(exam: Path) -> None:
    report = await evaluate(FakeAnswerer(refused="number 4?"), exam)
    assert [(each.id, each.detail) for each in report.failures] == [("q4", "Refused: Come again.")]
    assert report.figures.accuracy.total == COUNT - 1
    text = io.StringIO()
    print_report(report, text)
    assert "not answered: left out of the figures, wrong for the verdict: q4: Refused" in text.getvalue()


async def test_if_no_question_is_answered_the_first_reason_is_reported(exam: Path) -> None:
    with pytest.raises(AskingFailed, match="Refused: Come again"):
        await evaluate(FakeAnswerer(refused="?"), exam)


async def test_a_result_from_a_file_is_compared_question_by_question(exam: Path, tmp_path: Path) -> None:
    earlier = await evaluate(FakeAnswerer(best=0), exam)
    path = tmp_path / "earlier.json"
    path.write_text(earlier.model_dump_json())
    compared = (await evaluate(FakeAnswerer(best=1), exam, before=read_rows(path))).compared
    assert compared is not None
    assert (compared.both_right, compared.only_before, compared.only_now, compared.both_wrong) == (
        0,
        14,
        13,
        13,
    )
    assert compared.p_value == 1
    assert len(compared.discordant) == 27
    first = compared.discordant[0]
    assert (first.id, first.answer, first.before, first.now) == ("q0", "A", "A", "B")


@pytest.mark.parametrize("limits", [Limits(max_regression=0.05), Limits(min_accuracy=0.25)])
async def test_a_model_that_answers_only_half_of_the_questions_fails(exam: Path, limits: Limits) -> None:
    before = (await evaluate(FakeAnswerer(best=1), exam)).rows
    half = await run(FakeAnswerer(best=1), exam)
    half.failures = [
        Failure(id=row.id, digest=row.digest, detail="Overloaded") for row in half.rows[COUNT // 2 :]
    ]
    half.rows = half.rows[: COUNT // 2]
    report = build_report([half], before=before, limits=limits)
    assert report.figures.accuracy.total == COUNT // 2
    assert report.verdict is not None
    assert report.verdict.outcome == "Failed"
    limit = report.verdict.limits[-1]
    assert (limit.outcome, limit.detail.split(" were")[0]) == ("Failed", "20 of 40 questions (50.0%)")
    assert report.compared is not None
    assert (report.compared.questions, report.compared.unanswered) == (COUNT, COUNT // 2)
    assert report.compared.only_before == sum(row.outcome.right for row in before[COUNT // 2 :])
    assert {each.now for each in report.compared.discordant} == {None}
    text = io.StringIO()
    print_report(report, text)
    assert "40 questions, 20 of them without an answer now" in text.getvalue()
    assert "no answer" in text.getvalue()


async def test_questions_without_an_earlier_answer_are_not_compared(exam: Path) -> None:
    """If they counted as wrong before, they would hide questions that are wrong now."""
    before = (await evaluate(FakeAnswerer(best=0), exam)).rows[: COUNT // 2]
    compared = (await evaluate(FakeAnswerer(best=1), exam, before=before)).compared
    assert compared is not None
    assert (compared.questions, compared.unanswered) == (COUNT // 2, 0)


async def test_a_question_with_a_corrected_answer_is_another_question(exam: Path, corrected: Path) -> None:
    """The same answer of the model would be right before and wrong now, or the reverse."""
    before = (await evaluate(FakeAnswerer(), exam)).rows
    compared = (await evaluate(FakeAnswerer(), corrected, before=before)).compared
    assert compared is not None
    assert (compared.questions, compared.discordant) == (COUNT - 5, [])


def test_a_file_that_is_not_a_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(ResultUnreadable, match="is not a result"):
        read_rows(path)
    with pytest.raises(ResultUnreadable, match="No such file"):
        read_rows(tmp_path / "none.json")


async def test_results_without_a_question_in_common_are_not_compared(exam: Path) -> None:
    earlier = await evaluate(FakeAnswerer(), exam)
    other = [row.model_copy(update={"digest": f"other {row.digest}"}) for row in earlier.rows]
    with pytest.raises(ResultUnreadable, match="no question in common"):
        await evaluate(FakeAnswerer(), exam, before=other)


async def test_the_tables_have_accuracy_interval_calibration_and_letters(exam: Path) -> None:
    text = io.StringIO()
    print_report(await evaluate(FakeAnswerer(), exam), text)
    output = text.getvalue()
    for part in (
        "0.325 (13 of 40; 95 %: 0.201 to 0.480)",
        "15 bins of equal width",
        "Brier",
        "recall",
        "even",
        "s a question",
    ):
        assert part in output, part


class Biased:
    """Know part of the truth and score the letter B too high; know little in a chat's form."""

    async def score_labels(
        self, question: Question, *, rotation: int = 0, form: Form = CHATML.answer_first
    ) -> list[float]:
        order = rotations(3)[rotation]
        number = int(question.question.split()[-1].strip("?"))
        knows = number % 4 != 0 and (form != CHATML.answer_first or number % 4 == 1)
        return [
            2.0 * (knows and choice == number % 3) + (1.0 if letter == 1 else 0.0)
            for letter, choice in enumerate(order)
        ]


async def test_a_calibration_is_fitted_to_the_calibration_half_alone(exam: Path) -> None:
    spec = ExamSpec(read_exams([exam]), "calibration")
    stored, fit = await runner.calibrate(Biased(), spec, PREPARED, CHATML, stream=io.StringIO())
    half = [each for each in read_exams([exam]).questions if each.half == "calibration"]
    assert stored.fitted_on.questions == len(fit.raw) == len(half) < COUNT
    assert stored.choices[3].prior["B"] == pytest.approx(math.e / (math.e + 2))
    assert stored.model_digest == "sha256:me"
    assert stored.prompt_digest != CHATML.answer_first.digest
    text = io.StringIO()
    print_fit(fit, text)
    output = text.getvalue()
    assert "prior of the letters of 3 choices: A 0.212, B 0.576, C 0.212" in output
    trials = [line for line in output.splitlines() if "│" in line and "prompts" not in line]
    assert all(any(name in line for line in trials) for name in [*CHATML.answering, "all rotations"])
    assert (
        sum("* " in line for line in trials) == 2
    )  # one for the form, and one for the plan of three choices


async def test_the_result_names_the_model_and_the_prompt(exam: Path) -> None:
    report = await evaluate(FakeAnswerer(), exam)
    identity = (report.model_digest, report.precision, report.prompt_digest)
    assert identity == (IDENTITY.digest, IDENTITY.precision, IDENTITY.prompt_digest)
    assert identity[:2] == ("sha256:me", "float32")
