"""The client of a running service retries when the service is busy, and validates every reply."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest
from tests.eval.fakes import COUNT, FakeAnswerer, evaluate
from tests.service.fakes import IDENTITY, Replica

from mcq_eval.dataset.typed_question import DecisionQuestion
from mcq_eval.errors import AskingFailed
from mcq_eval.runner.service_client import ServiceClient
from mcq_service.api.mcq.answer_schemas import Result, Results
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.api.problems import Problem


def service(*replies: httpx2.Response | Exception) -> tuple[ServiceClient, list[float]]:
    """Return a client of a service that sends these replies in turn, then the last one again, and its pauses."""
    pauses: list[float] = []
    left = list(replies)

    def reply(_: httpx2.Request) -> httpx2.Response:
        first = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(first, Exception):
            raise first
        return first

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(reply), base_url="http://solver")
    return ServiceClient(client, sleep=sleep), pauses


QUESTIONS = [Question(question="Which?", choices=["a", "b", "c"])]
ENGINE_FAILED = Problem(type="about:blank", title="The engine failed", status=502, detail="It restarts.")


def reply_of(*results: Result) -> httpx2.Response:
    numbered = [each.model_copy(update={"index": index}) for index, each in enumerate(results)]
    return httpx2.Response(200, text=Results(results=numbered).model_dump_json())


async def test_a_busy_service_is_retried_after_its_retry_after() -> None:
    results = await FakeAnswerer().answers(QUESTIONS)
    answered = httpx2.Response(200, text=results.model_dump_json())
    remote, pauses = service(
        httpx2.Response(429, headers={"Retry-After": "3"}), httpx2.Response(503), answered
    )
    assert await remote.answers(QUESTIONS) == results
    assert pauses == [3, 2]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),  # in the past
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),  # too long to wait
        ("Fri, 31 Dec 9999 23:59:59", 60),
        ("0", 1),
        ("-3", 1),
        ("2.5", 2.5),
        ("86400", 60),
        ("soon", 1),
        ("", 1),
    ],
)
async def test_retry_after_may_be_a_date_and_is_bounded(header: str, seconds: float) -> None:
    results = await FakeAnswerer().answers(QUESTIONS)
    answered = httpx2.Response(200, text=results.model_dump_json())
    remote, pauses = service(httpx2.Response(503, headers={"Retry-After": header}), answered)
    assert await remote.answers(QUESTIONS) == results
    assert pauses == [seconds]


async def test_a_service_is_retried_at_the_date_of_its_retry_after() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    answered = httpx2.Response(200, text=(await FakeAnswerer().answers(QUESTIONS)).model_dump_json())
    remote, pauses = service(httpx2.Response(429, headers={"Retry-After": date}), answered)
    await remote.answers(QUESTIONS)
    assert 10 < pauses[0] <= 50


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (httpx2.ConnectError("refused"), "http://solver does not answer: refused"),
        (httpx2.Response(401, text="no key"), "answers 401: no key"),
        (httpx2.Response(200, text="<html>"), "not answer like an MCQ service"),
    ],
)
async def test_a_failing_service_is_reported(reply: httpx2.Response | Exception, message: str) -> None:
    remote, _ = service(reply)
    with pytest.raises(AskingFailed, match=message):
        await remote.answers(QUESTIONS)


async def test_too_few_answers_are_refused() -> None:
    remote, _ = service(httpx2.Response(200, text=Results(results=[]).model_dump_json()))
    with pytest.raises(AskingFailed, match="does not answer each of 1 questions"):
        await remote.answers(QUESTIONS)


async def test_questions_refused_by_a_busy_service_are_retried() -> None:
    busy = Problem(type="about:blank", title="Overloaded", status=429, detail="Later.")
    both = await FakeAnswerer().answers(QUESTIONS * 2)
    first = Results(results=[both.results[0], Result(index=1, problem=busy)])
    then = await FakeAnswerer().answers(QUESTIONS)
    remote, pauses = service(*(httpx2.Response(200, text=each.model_dump_json()) for each in (first, then)))
    assert await remote.answers(QUESTIONS * 2) == both
    assert pauses == [1]


async def test_questions_are_asked_again_until_the_engine_is_back() -> None:
    [right] = (await FakeAnswerer().answers(QUESTIONS)).results
    failed = Result(index=0, problem=ENGINE_FAILED)
    remote, pauses = service(
        reply_of(failed, failed), reply_of(failed, failed), reply_of(right, failed), reply_of(right)
    )
    assert await remote.answers(QUESTIONS * 2) == await FakeAnswerer().answers(QUESTIONS * 2)
    assert pauses == [1, 2, 4]


async def test_an_exam_ends_when_the_engine_stays_away() -> None:
    remote, pauses = service(reply_of(*[Result(index=0, problem=ENGINE_FAILED)] * 8))
    with pytest.raises(AskingFailed, match=r"did not answer 8 questions in a row.*It restarts"):
        await remote.answers(QUESTIONS * 8)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_an_exam_goes_on_if_the_engine_fails_at_some_questions() -> None:
    [right] = (await FakeAnswerer().answers(QUESTIONS)).results
    failed = Result(index=1, problem=ENGINE_FAILED)
    remote, _ = service(*[reply_of(right, failed), *[reply_of(failed)] * 8] * 9)
    for _ in range(9):
        assert (await remote.answers(QUESTIONS * 2)).results == [right, failed]


async def test_an_exam_of_typed_questions_ends_when_the_engine_stays_away() -> None:
    predicate = DecisionQuestion(type="predicate", input="A text.", instructions="Is it long?")
    remote, pauses = service(httpx2.Response(502, text="It restarts."))
    with pytest.raises(AskingFailed, match=r"did not answer 8 questions in a row.*It restarts"):
        await remote.answers([predicate] * 8)
    assert sorted(pauses) == sorted([1, 2, 4, 8, 16, 32, 60, 60] * 8)


DROPPED = httpx2.RemoteProtocolError("Server disconnected without sending a response.")


async def test_a_dropped_connection_does_not_end_the_exam() -> None:
    answered = httpx2.Response(200, text=(await FakeAnswerer().answers(QUESTIONS)).model_dump_json())
    refused = httpx2.ConnectError("refused")
    remote, pauses = service(answered, DROPPED, refused, answered, DROPPED, httpx2.Response(404))
    await remote.answers(QUESTIONS)
    assert await remote.answers(QUESTIONS) == await FakeAnswerer().answers(QUESTIONS)
    assert await remote.identity() is None
    assert pauses == [1, 2, 1]


async def test_a_service_that_is_gone_ends_the_exam() -> None:
    answered = httpx2.Response(200, text=(await FakeAnswerer().answers(QUESTIONS)).model_dump_json())
    remote, pauses = service(answered, DROPPED)
    await remote.answers(QUESTIONS)
    with pytest.raises(AskingFailed, match="does not answer: Server disconnected"):
        await remote.answers(QUESTIONS)
    assert len(pauses) == 8


@pytest.mark.parametrize("status", [502, 503])
async def test_a_busy_service_is_asked_for_its_identity_again(status: int) -> None:
    remote, pauses = service(httpx2.Response(status), httpx2.Response(404))
    assert await remote.identity() is None
    assert pauses == [1]
    gone, _ = service(httpx2.Response(status))
    with pytest.raises(AskingFailed, match=f"answers {status}"):
        await gone.identity()


async def test_a_service_without_an_identity_is_accepted() -> None:
    without_identity, _ = service(httpx2.Response(404))
    assert await without_identity.identity() is None
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


async def test_a_server_that_is_no_mcq_service_is_refused() -> None:
    other, _ = service(httpx2.Response(200, text="<html>"))
    with pytest.raises(AskingFailed, match="not answer like an MCQ service"):
        await other.identity()
    absent, _ = service(httpx2.ConnectError("refused"))
    with pytest.raises(AskingFailed, match="does not answer: refused"):
        await absent.identity()


async def test_a_replica_is_asked_over_http(replica: Replica, exam: Path) -> None:
    replica.load()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(replica.app), base_url="http://replica"
    ) as client:
        remote = ServiceClient(client)
        report = await evaluate(remote, exam)
        assert await remote.identity() == IDENTITY
    assert not report.failures
    assert (report.model, report.figures.accuracy.right, len(report.rows)) == ("fake/model", 13, COUNT)
