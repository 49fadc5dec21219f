"""A starting replica's progress reaches the solver's status."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from tests.operator.support import serving, solver

from mcq_operator.api import Manifest, SolverKey
from mcq_operator.probes.load_progress import LoadProgressProber, ask_load_progress, message
from mcq_operator.probes.probe_client import open_session

KEY = SolverKey("team", "demo")


def starting(name: str = "demo-1", **container: Any) -> Manifest:
    containers = [{"name": "service", "state": {"running": {}}, **container}]
    return {"metadata": {"name": name}, "status": {"podIP": "10.0.0.1", "containerStatuses": containers}}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Replica:
    """A replica with a set answer; it counts its questions."""

    answer = "Fetching. 10 % done."
    questions = 0

    async def __call__(self, _: str) -> str:
        self.questions += 1
        return self.answer


@pytest.fixture
def replica() -> Replica:
    return Replica()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requeued() -> list[SolverKey]:
    return []


@pytest.fixture
def load_progress(replica: Replica, clock: Clock, requeued: list[SolverKey]) -> LoadProgressProber:
    return LoadProgressProber(replica, clock=clock, requeue=requeued.append)


async def read_progress(load_progress: LoadProgressProber, *pods: Manifest) -> str:
    progress = load_progress.message(solver(), pods)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return progress


async def test_a_starting_replica_is_asked_and_a_new_answer_requeues_the_solver(
    load_progress: LoadProgressProber, replica: Replica, clock: Clock, requeued: list[SolverKey]
) -> None:
    assert await read_progress(load_progress, starting()) == ""
    assert requeued == [KEY]
    assert await read_progress(load_progress, starting()) == "Pod demo-1: Fetching. 10 % done."
    assert replica.questions == 1
    clock.now = 4
    assert load_progress.retry_in(KEY) == 0.1
    await read_progress(load_progress, starting())
    assert (replica.questions, requeued) == (2, [KEY])
    clock.now, replica.answer = 8, "Loading."
    await read_progress(load_progress, starting())
    assert requeued == [KEY, KEY]
    assert await read_progress(load_progress, starting()) == "Pod demo-1: Loading."


async def test_an_unanswered_question_does_not_requeue_the_solver_constantly(
    replica: Replica, clock: Clock, requeued: list[SolverKey]
) -> None:
    never = asyncio.Event()

    async def silent(_: str) -> str:
        await never.wait()
        return ""

    load_progress = LoadProgressProber(silent, clock=clock, requeue=requeued.append)
    await read_progress(load_progress, starting())
    assert load_progress.retry_in(KEY) == 3
    await load_progress.close()


@pytest.mark.parametrize(
    "pod",
    [
        starting(started=True),
        {"metadata": {"name": "demo-1"}, "status": {}},
        {**starting(), "metadata": {"name": "demo-1", "deletionTimestamp": "x"}},
        starting(state={"waiting": {"reason": "ContainerCreating"}}),
    ],
)
async def test_a_replica_that_is_not_starting_is_not_asked(
    load_progress: LoadProgressProber, replica: Replica, pod: Manifest
) -> None:
    await read_progress(load_progress, starting())
    assert await read_progress(load_progress, pod) == ""
    assert replica.questions == 1
    assert load_progress.retry_in(KEY) is None


async def test_another_replica_is_asked_again(load_progress: LoadProgressProber, replica: Replica) -> None:
    await read_progress(load_progress, starting())
    assert await read_progress(load_progress, starting("demo-2")) == ""
    assert replica.questions == 2


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (None, "Loading the model."),
        (0.0, "Loading the model. 0 % done."),
        (0.59, "Loading the model. 50 % done."),
    ],
)
def test_progress_changes_in_steps(progress: float | None, expected: str) -> None:
    assert message("Loading\n the model.", progress) == expected


async def test_an_unreachable_replica_is_asked_again(
    clock: Clock, requeued: list[SolverKey], caplog: pytest.LogCaptureFixture
) -> None:
    questions = 0

    async def unreachable(_: str) -> str:
        nonlocal questions
        questions += 1
        raise RecursionError

    load_progress = LoadProgressProber(unreachable, clock=clock, requeue=requeued.append)
    await read_progress(load_progress, starting())
    clock.now = 4
    assert load_progress.retry_in(KEY) == 0.1
    await read_progress(load_progress, starting())
    assert questions == 2
    assert "Traceback" in caplog.text


INVALID_ANSWERS = [
    b"hello",
    b"\xff\xfe",
    b"[" * 4096,
    b'{"detail": "x", "progress": 1e999}',
    b'{"detail": "x", "progress": NaN}',
    b'{"detail": "x", "progress": -1}',
    b'{"detail": "x", "progress": "half"}',
    b'{"detail": "' + b"x" * 4096 + b'", "progress": 0.5}',
    b'{"progress": 0.5}',
    b"null",
]


async def test_an_invalid_answer_has_no_progress() -> None:
    """A missing server has no progress either."""
    answers = iter(INVALID_ANSWERS)

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=next(answers))

    async with serving("/startupz", handle, host="127.0.0.77", port=8000), open_session() as session:
        assert [await ask_load_progress(session, "127.0.0.77") for _ in INVALID_ANSWERS] == [""] * len(
            INVALID_ANSWERS
        )
        assert await ask_load_progress(session, "127.0.0.78") == ""


async def test_a_replicas_progress_is_one_line_without_control_characters() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"status": "x", "detail": "Fetching\n\x1b[31mred", "progress": 0.25})

    async with serving("/startupz", handle, host="127.0.0.79", port=8000), open_session() as session:
        assert await ask_load_progress(session, "127.0.0.79") == "Fetching [31mred 20 % done."
