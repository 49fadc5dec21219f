"""An exam is held with whoever answers: every question once, failures said, and two results compared."""

import io
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.service.fakes import IDENTITY as FAKE
from tests.service.fakes import Replica

from mcq_service.answering.answering import Letters
from mcq_service.answering.deciding import rotations
from mcq_service.api.mcq.schemas import (
    Answer,
    Choice,
    LabelProbability,
    Question,
    Result,
    Results,
    Timings,
    Usage,
)
from mcq_service.api.problems import Problem
from mcq_service.engine import Tokens
from mcq_service.exams import asking, commands, console, parts, report
from mcq_service.exams.commands import Sitting
from mcq_service.exams.errors import AskingFailed, ResultUnreadable
from mcq_service.exams.judging import Limits
from mcq_service.exams.questions import read
from mcq_service.model_store import PreparedModel
from mcq_service.prompts import ANSWER_FIRST, ANSWER_FORMS, Form
from mcq_service.runtime import builder as serving

PREPARED = PreparedModel(
    path=Path("/none"), uri="hf://some/model", revision="1", digest="sha256:me", precision="float32"
)
IDENTITY = serving.identity_of(PREPARED)
COUNT = 40


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """Questions of which the right answers go round A, B, C."""
    path = tmp_path / "exam.jsonl"
    rows = [
        {
            "id": f"q{number}",
            "subject": "even" if number % 2 == 0 else "odd",
            "question": f"What is number {number}?",
            "choices": ["one", "two", "three"],
            "answer": number % 3,
        }
        for number in range(COUNT)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Scripted:
    """Always chooses `best`, with 0.8; refuses the questions of which the text ends as `refused`."""

    def __init__(self, best: int = 1, refused: str | None = None, status: int = 422) -> None:
        self.status = status
        self.best = best
        self.refused = refused
        self.asked: list[Question] = []

    async def answers(self, questions: Sequence[Question]) -> Results:
        self.asked += questions
        return Results(results=[self._result(index, each) for index, each in enumerate(questions)])

    def _result(self, index: int, question: Question) -> Result:
        if self.refused and question.question.endswith(self.refused):
            problem = Problem(type="about:blank", title="Refused", status=self.status, detail="Come again.")
            return Result(index=index, problem=problem)
        probabilities = [0.8 if choice == self.best else 0.1 for choice in range(3)]
        options = question.options
        answer = Answer(
            id="x", model="some/model", mode="answer", abstained=False, confidence=0.8, margin=0.7,
            answer=Choice(label=options[self.best].label, index=self.best, text=options[self.best].text),
            probabilities=[
                LabelProbability(label=option.label, probability=each)
                for option, each in zip(options, probabilities, strict=True)
            ],
            trace_id=None, reasoning=None,
            usage=Usage(prompt_tokens=9, completion_tokens=0, cached_tokens=3),
            timings=Timings(queue_ms=0, answer_ms=5, total_ms=5),
        )  # fmt: skip
        return Result(index=index, answer=answer)


async def evaluated(
    asker: asking.Asker, exam: Path, *, before: Sequence[report.Row] | None = None, **more: Any
) -> report.Report:
    return parts.report([await sat(asker, exam, **more)], before=before)


async def sat(asker: asking.Asker, exam: Path, **more: Any) -> parts.Part:
    return await commands.hold(
        asker,
        Sitting(read([exam]), "all", **more),
        target="a test",
        identity=IDENTITY,
        stream=io.StringIO(),
    )


async def test_every_question_is_asked_once_in_mode_answer_as_it_was_wished(exam: Path) -> None:
    asker = Scripted()
    found = await evaluated(asker, exam, debias="rotations", min_confidence=0.5)
    assert sorted(each.question for each in asker.asked) == sorted(
        f"What is number {number}?" for number in range(COUNT)
    )
    assert {(each.mode, each.debias, each.min_confidence) for each in asker.asked} == {
        ("answer", "rotations", 0.5)
    }
    assert [row.id for row in found.rows] == [f"q{number}" for number in range(COUNT)]


async def test_the_figures_are_those_of_the_answers(exam: Path) -> None:
    figures = (await evaluated(Scripted(best=1), exam)).figures
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


async def test_the_time_and_the_tokens_are_those_of_the_answers(exam: Path) -> None:
    found = await evaluated(Scripted(), exam)
    assert (found.latency.p50_ms, found.latency.p95_ms) == (5, 5)
    assert found.tokens == Usage(prompt_tokens=9 * COUNT, completion_tokens=0, cached_tokens=3 * COUNT)


async def test_a_result_of_a_release_with_fewer_figures_can_be_compared_with(
    exam: Path, tmp_path: Path
) -> None:
    found = await evaluated(Scripted(), exam)
    path = tmp_path / "earlier.json"
    path.write_text(found.model_dump_json(include={"format", "rows"}))
    assert report.read_rows(path) == found.rows


async def test_a_question_that_fails_is_in_no_figure_and_is_reported(exam: Path) -> None:
    found = await evaluated(Scripted(refused="number 4?"), exam)
    assert [(each.id, each.detail) for each in found.failures] == [("q4", "Refused: Come again.")]
    assert found.figures.accuracy.total == COUNT - 1
    text = io.StringIO()
    console.show(found, text)
    assert "not answered: in no figure, wrong for the verdict: q4: Refused" in text.getvalue()


async def test_where_none_is_answered_the_first_reason_is_said(exam: Path) -> None:
    with pytest.raises(AskingFailed, match="Refused: Come again"):
        await evaluated(Scripted(refused="?"), exam)


async def test_a_result_read_back_is_compared_question_by_question(exam: Path, tmp_path: Path) -> None:
    earlier = await evaluated(Scripted(best=0), exam)
    path = tmp_path / "earlier.json"
    path.write_text(earlier.model_dump_json())
    compared = (await evaluated(Scripted(best=1), exam, before=report.read_rows(path))).compared
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
async def test_a_model_that_answers_half_of_the_questions_fails_however_right_it_is(
    exam: Path, limits: Limits
) -> None:
    before = (await evaluated(Scripted(best=1), exam)).rows
    half = await sat(Scripted(best=1), exam)
    half.failures = [
        report.Failure(id=row.id, digest=row.digest, detail="Overloaded") for row in half.rows[COUNT // 2 :]
    ]
    half.rows = half.rows[: COUNT // 2]
    found = parts.report([half], before=before, limits=limits)
    assert found.figures.accuracy.total == COUNT // 2
    assert found.verdict is not None
    assert found.verdict.outcome == "Failed"
    said = found.verdict.limits[-1]
    assert (said.outcome, said.detail.split(" were")[0]) == ("Failed", "20 of 40 questions (50.0%)")
    assert found.compared is not None
    assert (found.compared.questions, found.compared.unanswered) == (COUNT, COUNT // 2)
    assert found.compared.only_before == sum(row.outcome.right for row in before[COUNT // 2 :])
    assert {each.now for each in found.compared.discordant} == {None}
    text = io.StringIO()
    console.show(found, text)
    assert "40 questions, 20 of them without an answer now" in text.getvalue()
    assert "no answer" in text.getvalue()


async def test_what_the_earlier_result_had_no_answer_to_is_not_compared(exam: Path) -> None:
    """Taken as wrong before, it would make up for what is wrong now."""
    before = (await evaluated(Scripted(best=0), exam)).rows[: COUNT // 2]
    compared = (await evaluated(Scripted(best=1), exam, before=before)).compared
    assert compared is not None
    assert (compared.questions, compared.unanswered) == (COUNT // 2, 0)


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(ResultUnreadable, match="is not a result"):
        report.read_rows(path)
    with pytest.raises(ResultUnreadable, match="No such file"):
        report.read_rows(tmp_path / "none.json")


async def test_results_without_a_question_in_common_are_not_compared(exam: Path) -> None:
    earlier = await evaluated(Scripted(), exam)
    other = [row.model_copy(update={"digest": f"other {row.digest}"}) for row in earlier.rows]
    with pytest.raises(ResultUnreadable, match="no question in common"):
        await evaluated(Scripted(), exam, before=other)


async def test_the_tables_say_accuracy_interval_calibration_and_letters(exam: Path) -> None:
    text = io.StringIO()
    console.show(await evaluated(Scripted(), exam), text)
    shown = text.getvalue()
    for part in (
        "0.325 (13 of 40; 95 %: 0.201 to 0.480)",
        "15 bins of equal width",
        "Brier",
        "recall",
        "even",
        "s a question",
    ):
        assert part in shown, part


class Biased:
    """Scores a truth that it knows in part, and the letter B too high; asked in a chat, it knows little."""

    async def letters(self, question: Question, *, rotation: int = 0, form: Form = ANSWER_FIRST) -> Letters:
        order = rotations(3)[rotation]
        number = int(question.question.split()[-1].strip("?"))
        knows = number % 4 != 0 and (form != ANSWER_FIRST or number % 4 == 1)
        scores = [0.0] * 3
        for letter, choice in enumerate(order):
            scores[choice] = 2.0 * (knows and choice == number % 3) + (1.0 if letter == 1 else 0.0)
        labels = ["ABC"[order.index(choice)] for choice in range(3)]
        return Letters(log_probabilities=scores, labels=labels, tokens=Tokens(), seconds=0.0)


async def test_a_calibration_is_fitted_to_the_calibration_half_alone(exam: Path) -> None:
    sitting = Sitting(read([exam]), "calibration")
    stored, fit = await commands.calibrate(Biased(), sitting, PREPARED, stream=io.StringIO())
    half = [each for each in read([exam]).questions if each.half == "calibration"]
    assert stored.fitted_on.questions == len(fit.raw) == len(half) < COUNT
    assert stored.choices[3].prior["B"] == pytest.approx(math.e / (math.e + 2))
    assert stored.model_digest == "sha256:me"
    assert stored.form != ANSWER_FIRST
    text = io.StringIO()
    console.show_fit(fit, text)
    shown = text.getvalue()
    assert "prior of the letters of 3 choices: A 0.212, B 0.576, C 0.212" in shown
    tried = [line for line in shown.splitlines() if "│" in line and "prompts" not in line]
    assert all(any(name in line for line in tried) for name in [*ANSWER_FORMS, "all rotations"])
    assert sum("* " in line for line in tried) == 2  # a form, and a plan for three choices


def service(*replies: httpx2.Response | Exception) -> tuple[asking.Remote, list[float]]:
    """A service that gives these replies, one after the other, and the pauses that were made between them."""
    pauses: list[float] = []
    left = list(replies)

    def reply(_: httpx2.Request) -> httpx2.Response:
        if isinstance(first := left.pop(0), Exception):
            raise first
        return first

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(reply), base_url="http://solver")
    return asking.Remote(client, sleep=sleep), pauses


QUESTIONS = [Question(question="Which?", choices=["a", "b", "c"])]


async def test_a_service_that_is_busy_is_asked_again_after_the_pause_it_names() -> None:
    results = await Scripted().answers(QUESTIONS)
    answered = httpx2.Response(200, text=results.model_dump_json())
    remote, pauses = service(
        httpx2.Response(429, headers={"Retry-After": "3"}), httpx2.Response(503), answered
    )
    assert await remote.answers(QUESTIONS) == results
    assert pauses == [3, 1]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),  # over
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),  # no one waits so long
        ("Fri, 31 Dec 9999 23:59:59", 60),
        ("0", 1),
        ("-3", 1),
        ("2.5", 2.5),
        ("86400", 60),
        ("inf", 60),
        ("nan", 1),
        ("soon", 1),
        ("", 1),
    ],
)
async def test_the_pause_a_service_names_may_be_a_date_and_is_bounded(header: str, seconds: float) -> None:
    results = await Scripted().answers(QUESTIONS)
    answered = httpx2.Response(200, text=results.model_dump_json())
    remote, pauses = service(httpx2.Response(503, headers={"Retry-After": header}), answered)
    assert await remote.answers(QUESTIONS) == results
    assert pauses == [seconds]


async def test_a_service_is_asked_again_at_the_date_it_names() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    answered = httpx2.Response(200, text=(await Scripted().answers(QUESTIONS)).model_dump_json())
    remote, pauses = service(httpx2.Response(429, headers={"Retry-After": date}), answered)
    await remote.answers(QUESTIONS)
    assert 10 < pauses[0] <= 50


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (httpx2.ConnectError("refused"), "http://solver does not answer: refused"),
        (httpx2.Response(401, text="no key"), "answers 401: no key"),
        (httpx2.Response(200, text="<html>"), "not answer as an MCQ service"),
    ],
)
async def test_what_is_wrong_with_a_service_is_said(reply: httpx2.Response | Exception, said: str) -> None:
    remote, _ = service(reply)
    with pytest.raises(AskingFailed, match=said):
        await remote.answers(QUESTIONS)


async def test_a_service_that_answers_too_few_is_not_believed() -> None:
    remote, _ = service(httpx2.Response(200, text=Results(results=[]).model_dump_json()))
    with pytest.raises(AskingFailed, match="does not answer each of 1 questions"):
        await remote.answers(QUESTIONS)


async def test_what_a_service_was_too_busy_for_is_asked_again() -> None:
    busy = Problem(type="about:blank", title="Overloaded", status=429, detail="Later.")
    both = await Scripted().answers(QUESTIONS * 2)
    first = Results(results=[both.results[0], Result(index=1, problem=busy)])
    then = await Scripted().answers(QUESTIONS)
    remote, pauses = service(*(httpx2.Response(200, text=each.model_dump_json()) for each in (first, then)))
    assert await remote.answers(QUESTIONS * 2) == both
    assert pauses == [1]


async def test_a_service_of_before_it_said_which_model_it_has_is_asked_all_the_same() -> None:
    nowhere, _ = service(httpx2.Response(404))
    assert await nowhere.identity() is None
    loading = {
        "modes": [],
        "max_choices": 26,
        "max_reasoning_tokens": 512,
        "ready": False,
        "status": "loading",
    }
    nulls = dict.fromkeys(("model", "default_mode", "trace_url", "progress"))
    before, _ = service(httpx2.Response(200, json={**loading, **nulls, "detail": ""}))
    assert await before.identity() is None


async def test_what_does_not_answer_as_a_service_is_not_asked() -> None:
    other, _ = service(httpx2.Response(200, text="<html>"))
    with pytest.raises(AskingFailed, match="not answer as an MCQ service"):
        await other.identity()
    absent, _ = service(httpx2.ConnectError("refused"))
    with pytest.raises(AskingFailed, match="does not answer: refused"):
        await absent.identity()


async def test_the_result_says_which_model_answered_by_which_prompt(exam: Path) -> None:
    found = await evaluated(Scripted(), exam)
    said = (found.model_digest, found.precision, found.prompt_digest)
    assert said == (IDENTITY.digest, IDENTITY.precision, IDENTITY.prompt_digest)
    assert said[:2] == ("sha256:me", "float32")


async def test_a_replica_is_asked_over_http(replica: Replica, exam: Path) -> None:
    replica.load()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(replica.app), base_url="http://replica"
    ) as client:
        remote = asking.Remote(client)
        found = await evaluated(remote, exam)
        assert await remote.identity() == FAKE
    assert not found.failures
    assert (found.model, found.figures.accuracy.right, len(found.rows)) == ("fake/model", 13, COUNT)
