"""The self-test answers a question and reports its duration or failure."""

import asyncio

import httpx
import pytest
from tests.service.fakes import QUESTION, Replica, until

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.api.problems import BadEngine, OutOfMemory
from mcq_service.engine import EngineBusy, EngineFailed
from mcq_service.runtime import builder
from mcq_service.runtime.selftest import FRESH_SECONDS, SelfTest
from mcq_service.runtime.settings import Settings
from mcq_service.scheduler import QueueFull

PATH = "/answerz"


async def test_the_self_test_is_answered_like_a_clients_question(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The result is its duration; before the model is loaded there is no answer."""
    assert (await client.get(PATH)).json()["type"].endswith("/not-ready")
    replica.load()
    response = await client.get(PATH)
    assert response.status_code == 200
    assert response.json()["seconds"] >= 0
    [prompt] = replica.texts.read
    assert "blue" in prompt.choices


async def test_frequent_requests_cost_little(replica: Replica, client: httpx.AsyncClient) -> None:
    """The self-test needs no key, so all requests at once or shortly after share one outcome."""
    replica.load()
    replica.texts.gate.clear()
    requests = [asyncio.create_task(client.get(PATH)) for _ in range(50)]
    await until(lambda: replica.texts.read)
    replica.texts.gate.set()
    assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
    assert (await client.get(PATH)).status_code == 200
    assert len(replica.texts.read) == 1


async def test_a_failure_is_reported_and_retried_later(replica: Replica) -> None:
    """A failure is reused like an answer."""
    replica.load()
    now = 0.0
    selftest = SelfTest(replica.mcq, clock=lambda: now)
    replica.texts.error = EngineFailed("The engine is gone.")
    for _ in range(3):
        with pytest.raises(BadEngine, match="gone"):
            await selftest.seconds()
    assert len(replica.texts.read) == 1
    replica.texts.error = None
    now = FRESH_SECONDS - 0.01
    with pytest.raises(BadEngine):
        await selftest.seconds()
    now = FRESH_SECONDS
    assert await selftest.seconds() >= 0


async def test_a_defect_is_reported_at_the_same_low_cost(replica: Replica) -> None:
    """A probe must not compute it again each time."""
    replica.load()
    replica.texts.error = MemoryError()
    for _ in range(3):
        with pytest.raises(OutOfMemory):
            await replica.lifecycle.require_backend().selftest.seconds()
    assert len(replica.texts.read) == 1


@pytest.mark.parametrize(
    "error", [QueueFull("Later.", retry_after=3), EngineBusy("Later.", retry_after="3")], ids=repr
)
async def test_a_full_queue_is_reported_too(
    error: Exception, replica: Replica, client: httpx.AsyncClient
) -> None:
    """The report says how long to wait."""
    replica.load()
    replica.texts.error = error
    response = await client.get(PATH)
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")


async def test_the_self_test_does_not_wait_behind_clients(replica: Replica) -> None:
    """Otherwise a replica at its peak would look broken."""
    replica.load(max_queued=1, max_active=1)
    settings = Settings(max_queued_requests=1, max_batch_size=1)
    selftest = builder.build_selftest(replica.texts, settings, tracing=replica.tracing)
    question = Question.model_validate({**QUESTION, "mode": "explain"})
    replica.texts.gate.clear()
    clients = [asyncio.create_task(replica.mcq.answer(question)) for _ in range(4)]
    await until(lambda: replica.admission.queued)
    task = asyncio.create_task(selftest.seconds())
    await until(lambda: any("blue" in prompt.choices for prompt in replica.texts.read))
    replica.texts.gate.set()
    assert await task >= 0
    outcomes = await asyncio.gather(*clients, return_exceptions=True)
    assert any(isinstance(outcome, QueueFull) for outcome in outcomes)


async def test_a_client_that_leaves_does_not_affect_the_others(replica: Replica) -> None:
    """Clients that wait for the same outcome still get it."""
    replica.load()
    selftest = SelfTest(replica.mcq)
    replica.texts.gate.clear()
    first, second = (asyncio.create_task(selftest.seconds()) for _ in range(2))
    await until(lambda: replica.texts.read)
    first.cancel()
    replica.texts.gate.set()
    assert await second >= 0
    with pytest.raises(asyncio.CancelledError):
        await first
