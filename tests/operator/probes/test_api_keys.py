"""The solver's status shows the replicas' count of API keys, because the operator reads no Secret."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.operator.status.test_status import condition, status_of
from tests.operator.support import deployment, pod, serving, solver

from mcq_operator.api import Manifest, MCQSolver, SolverKey, names
from mcq_operator.api.observed import KeyCount, ObservedSolver
from mcq_operator.probes.api_keys import APIKeyProber, ask_api_keys
from mcq_operator.probes.probe_client import open_session

KEYED = {"auth": {"apiKeysSecretRef": {"name": "clients"}}}


def replica_pod(name: str, *, ready: bool = True) -> Manifest:
    return pod(name, ready=ready, podIP=f"10.0.0.{name[-1]}")


class Replicas:
    """Replicas with a set answer that record each question's address."""

    def __init__(self) -> None:
        self.answer: KeyCount | None = KeyCount(accepted=2, invalid=0)
        self.addresses: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, address: str) -> KeyCount | None:
        self.addresses.put_nowait(address)
        return self.answer


@pytest.fixture
def replicas() -> Replicas:
    return Replicas()


@pytest.fixture
def requeued() -> asyncio.Queue[SolverKey]:
    return asyncio.Queue()


@pytest.fixture
async def prober(replicas: Replicas, requeued: asyncio.Queue[SolverKey]) -> AsyncIterator[APIKeyProber]:
    prober = APIKeyProber(replicas, requeue=requeued.put_nowait, every_seconds=0.01)
    yield prober
    await prober.close()


@pytest.fixture
def keyed() -> MCQSolver:
    return solver(KEYED)


async def test_ready_replicas_are_asked_in_turn_and_only_a_new_answer_requeues_the_solver(
    prober: APIKeyProber, replicas: Replicas, requeued: asyncio.Queue[SolverKey], keyed: MCQSolver
) -> None:
    pods = [replica_pod("demo-1"), replica_pod("demo-2", ready=False), replica_pod("demo-3")]
    assert prober.count(keyed, pods) is None
    assert await requeued.get() == keyed.key
    assert prober.count(keyed, pods) == KeyCount(accepted=2, invalid=0)
    assert [await replicas.addresses.get() for _ in range(4)] == ["10.0.0.1", "10.0.0.3"] * 2
    assert requeued.empty()
    replicas.answer = KeyCount(accepted=1, invalid=1)
    await requeued.get()
    assert prober.count(keyed, pods) == replicas.answer


async def test_a_replica_without_an_answer_changes_nothing(
    prober: APIKeyProber, replicas: Replicas, requeued: asyncio.Queue[SolverKey], keyed: MCQSolver
) -> None:
    prober.count(keyed, [replica_pod("demo-1")])
    await requeued.get()
    replicas.answer = None
    for _ in range(3):
        await replicas.addresses.get()
    assert prober.count(keyed, [replica_pod("demo-1")]) == KeyCount(accepted=2, invalid=0)


async def test_an_unreachable_replica_is_asked_again(
    replicas: Replicas, requeued: asyncio.Queue[SolverKey], keyed: MCQSolver, caplog: pytest.LogCaptureFixture
) -> None:
    fails = 2

    async def unreachable(address: str) -> KeyCount | None:
        nonlocal fails
        if fails:
            fails -= 1
            raise RecursionError
        return await replicas(address)

    prober = APIKeyProber(unreachable, requeue=requeued.put_nowait, every_seconds=0.01)
    prober.count(keyed, [replica_pod("demo-1")])
    assert await asyncio.wait_for(requeued.get(), 10) == keyed.key
    assert "Traceback" in caplog.text
    await prober.close()


async def test_without_a_ready_replica_or_without_keys_no_replica_is_asked(
    prober: APIKeyProber, replicas: Replicas, keyed: MCQSolver
) -> None:
    assert prober.count(keyed, [replica_pod("demo-1", ready=False)]) is None
    assert prober.count(solver(), [replica_pod("demo-1")]) is None
    await asyncio.sleep(0)
    assert replicas.addresses.empty()


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"status": "ready", "api_keys": {"accepted": 2, "invalid": 1}}, KeyCount(accepted=2, invalid=1)),
        ({"status": "ready", "api_keys": None}, None),
        ({"status": "ready"}, None),
        (["what"], None),
        ({"api_keys": {"accepted": 10**30, "invalid": 0}}, None),
        ({"api_keys": {"accepted": -1, "invalid": 0}}, None),
        ({"api_keys": {"accepted": 2, "invalid": 0}, "more": "x" * 4096}, None),
    ],
)
async def test_a_replica_is_asked_over_http(
    body: Any, count: KeyCount | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica of another release gives no count."""

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with serving("/readyz", readyz) as url, open_session() as session:
        monkeypatch.setattr(names, "HTTP_PORT", int(url.rpartition(":")[2]))
        assert await ask_api_keys(session, "127.0.0.1") == count


@pytest.mark.parametrize(
    ("count", "keys", "ready", "degraded"),
    [
        (None, ("Unknown", "Asking"), "True", "False"),
        (KeyCount(accepted=2, invalid=0), ("True", "Accepted"), "True", "False"),
        (KeyCount(accepted=2, invalid=1), ("False", "InvalidAPIKeys"), "True", "True"),
        (KeyCount(accepted=0, invalid=0), ("False", "NoAPIKeys"), "False", "True"),
        (KeyCount(accepted=0, invalid=1), ("False", "NoAPIKeys"), "False", "True"),
    ],
)
def test_a_missing_or_invalid_secret_is_a_condition(
    count: KeyCount | None, keys: tuple[str, str], ready: str, degraded: str
) -> None:
    """If replicas refuse every client, the solver is not Available, whatever the test question's result."""
    actual = status_of(ObservedSolver(deployment=deployment(), keys=count), spec=KEYED)
    api_keys = condition(actual, "APIKeysReady")
    assert (api_keys.status, api_keys.reason) == keys
    assert condition(actual, "Ready").status == ready
    assert condition(actual, "Degraded").status == degraded
    if api_keys.status == "False":
        assert "Secret clients" in api_keys.message
        assert condition(actual, "Degraded").message == api_keys.message


def test_a_solver_without_keys_has_no_such_condition() -> None:
    assert "APIKeysReady" not in {
        each.type for each in status_of(ObservedSolver(deployment=deployment())).conditions
    }
