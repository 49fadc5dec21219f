"""The operator sums up the questions of a watched solver's replicas, which report their own counts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.operator.support import pod, serving, solver

from mcq_operator.api import Manifest, SolverKey, names
from mcq_operator.api.gate_status import ModeTraffic, Traffic
from mcq_operator.probes import traffic
from mcq_operator.probes.probe_client import open_session
from mcq_operator.probes.traffic import ReplicaTraffic, TrafficProber, ask_traffic

COUNTS = {
    "outcomes": {"answered": 5, "abstained": 2, "overloaded": 3, "invalid-question": 9},
    "modes": {"explain": {"questions": 7, "seconds": 3.5}},
}


def replica_pod(name: str, *, ready: bool = True) -> Manifest:
    manifest = pod(name, ready=ready, podIP=f"10.0.0.{name[-1]}")
    return {**manifest, "metadata": {**manifest["metadata"], "uid": name}}


@pytest.fixture
def requeued() -> asyncio.Queue[SolverKey]:
    return asyncio.Queue()


@pytest.fixture
def answers() -> dict[str, ReplicaTraffic | None]:
    """Return each replica's answer by its address."""
    return {f"10.0.0.{number}": ReplicaTraffic.model_validate(COUNTS) for number in (1, 2)}


@pytest.fixture
async def prober(
    answers: dict[str, ReplicaTraffic | None], requeued: asyncio.Queue[SolverKey]
) -> AsyncIterator[TrafficProber]:
    async def ask(address: str) -> ReplicaTraffic | None:
        return answers[address]

    prober = TrafficProber(ask, requeue=requeued.put_nowait)
    yield prober
    await prober.close()


async def test_the_counts_of_all_ready_replicas_are_added_up(
    prober: TrafficProber, requeued: asyncio.Queue[SolverKey]
) -> None:
    """Invalid questions don't count: no replica could answer them. A new sum requeues the solver."""
    watched = solver({})
    pods = [replica_pod("demo-1"), replica_pod("demo-2"), replica_pod("demo-3", ready=False)]
    assert prober.retry_in(watched.key) is None
    assert prober.total(watched, pods) is None
    assert await requeued.get() == watched.key
    assert prober.total(watched, pods) == Traffic(
        questions=20, failed=6, abstained=4, modes=[ModeTraffic(mode="explain", questions=14, seconds=7)]
    )
    assert prober.retry_in(watched.key) == traffic.EVERY_SECONDS
    assert prober.total(watched, []) == Traffic()
    assert prober.retry_in(watched.key) is None, "it asks no more"


async def test_a_replica_without_counts_makes_the_sum_unknown(
    prober: TrafficProber, answers: dict[str, ReplicaTraffic | None], requeued: asyncio.Queue[SolverKey]
) -> None:
    """A sum over some replicas would look like fewer questions, and waiting for one would block the change."""
    answers["10.0.0.2"] = None
    watched, pods = solver({}), [replica_pod("demo-1"), replica_pod("demo-2")]
    assert prober.total(watched, pods) is None
    assert await requeued.get() == watched.key
    assert prober.total(watched, pods) == Traffic()


async def test_a_missed_answer_keeps_the_known_sum(
    prober: TrafficProber,
    answers: dict[str, ReplicaTraffic | None],
    requeued: asyncio.Queue[SolverKey],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prober, "_pause", 0)
    watched, pods = solver({}), [replica_pod("demo-1")]
    prober.total(watched, pods)
    await requeued.get()
    known = prober.total(watched, pods)
    answers["10.0.0.1"] = None
    for _ in range(3):
        assert prober.total(watched, pods) == known
        await asyncio.sleep(0.01)
    assert requeued.empty()


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (COUNTS, True),
        ({}, False),
        ({**COUNTS, "outcomes": {"answered": -1}}, False),
        ({**COUNTS, "outcomes": {str(number): 1 for number in range(65)}}, False),
        ({**COUNTS, "modes": {"explain": {"questions": 1, "seconds": "NaN"}}}, False),
    ],
)
async def test_an_answer_is_not_trusted(monkeypatch: pytest.MonkeyPatch, body: Any, known: bool) -> None:
    async def trafficz(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with serving("/trafficz", trafficz) as url, open_session() as session:
        monkeypatch.setattr(names, "PROBE_PORT", int(url.rpartition(":")[2]))
        answer = await ask_traffic(session, "127.0.0.1")
    assert (answer is not None) is known
