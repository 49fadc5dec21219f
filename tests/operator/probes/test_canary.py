"""The canary asks over real HTTP, keeps its verdict, asks again, and never blocks a reconcile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from tests.operator.support import deployment, pod, serving, solver

from mcq_operator.api import SolverKey
from mcq_operator.api.observed import CanaryVerdict
from mcq_operator.probes.canary import CanaryProber, ask_canary, fingerprint
from mcq_operator.probes.probe_client import open_session

KEY = SolverKey("team", "demo")
PODS = [pod(ready=True)]


@dataclass
class Service:
    """A fake service of a solver."""

    url: str = ""
    status: int = 200
    text: str = '{"seconds": 0.2}'
    body: bytes | None = None
    questions: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.questions += 1
        return web.Response(status=self.status, body=self.body or self.text.encode())


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    async with serving("/team/demo/answerz", service.handle) as url:
        service.url = f"{url}/{{namespace}}/{{name}}"
        yield service


async def ask(url: str) -> CanaryVerdict:
    async with open_session() as session:
        return await ask_canary(session, url, KEY)


async def test_an_answered_test_question_is_an_answer(service: Service) -> None:
    assert (await ask(service.url)).outcome == "answered"
    assert service.questions == 1


async def test_a_full_queue_is_not_a_failure(service: Service) -> None:
    """At peak load the queue refuses one more question, and the replica still answers others."""
    service.status, service.text = 429, '{"title": "The queue is full"}'
    assert (await ask(service.url)).outcome == "answered"


@pytest.mark.parametrize("status", [404, 500, 502, 503, 504])
async def test_any_other_answer_is_a_quoted_failure(service: Service, status: int) -> None:
    service.status, service.text = status, '{"title": "It failed",\n "detail": "for a reason"}'
    verdict = await ask(service.url)
    assert verdict.outcome == "failed"
    assert verdict.detail.startswith(f"HTTP {status}: ")
    assert "for a reason" in verdict.detail
    assert "\n" not in verdict.detail


async def test_a_quoted_binary_body_has_no_terminal_controls(service: Service) -> None:
    service.status, service.body = 500, b"\xff\xfe \x1b[2J\x1b]0;title\x07 \xe2\x80\xae cut\xe2\x82"
    verdict = await ask(service.url)
    assert verdict == CanaryVerdict(outcome="failed", detail="HTTP 500: \ufffd\ufffd [2J ]0;title cut\ufffd")


async def test_a_port_without_a_listener_is_a_failure(service: Service) -> None:
    verdict = await ask("http://127.0.0.1:9")
    assert verdict.outcome == "failed"
    assert "127.0.0.1:9" in verdict.detail


@dataclass
class Bench:
    """A canary prober with a fake clock and a set verdict."""

    verdict: CanaryVerdict = field(default_factory=lambda: CanaryVerdict(outcome="answered"))
    now: float = 1000.0
    questions: int = 0
    requeued: list[SolverKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.canary = CanaryProber(self.ask, clock=lambda: self.now, requeue=self.requeued.append)

    async def ask(self, key: SolverKey) -> CanaryVerdict:
        self.questions += 1
        return self.verdict

    async def read_verdict(
        self, *, spec: dict[str, Any] | None = None, revision: str = "a", **changes: Any
    ) -> CanaryVerdict:
        pods = [pod(ready=True, revision=revision)]
        verdict = self.canary.verdict(solver(spec), deployment(**changes), pods)
        for _ in range(5):
            await asyncio.sleep(0)
        return verdict


async def test_a_late_verdict_requeues_the_key_and_stays() -> None:
    bench = Bench()
    assert (await bench.read_verdict()).outcome == "pending"
    assert bench.requeued == [KEY]
    for _ in range(10):
        assert (await bench.read_verdict()).outcome == "answered"
    assert bench.questions == 1


async def test_no_question_while_a_replica_of_an_earlier_revision_could_answer() -> None:
    bench = Bench()
    unfinished: tuple[dict[str, Any], ...] = ({"available": 0}, {"observed_generation": 3}, {"replicas": 4})
    for changes in unfinished:
        assert (await bench.read_verdict(**changes)).outcome == "pending"
    none: dict[str, Any] = {"desired": 0, "replicas": 0, "updated": 0, "ready": 0, "available": 0}
    assert (await bench.read_verdict(**none)).outcome == "pending"
    assert bench.questions == 0


@pytest.mark.parametrize("missing", [{"available": 1}, {"replicas": 1, "updated": 1, "available": 1}])
async def test_the_replicas_that_exist_are_asked_if_others_can_not_start(missing: dict[str, Any]) -> None:
    """For example if the cluster has room for one of three."""
    bench = Bench()
    assert (await bench.read_verdict(**missing)).outcome == "pending"
    assert (await bench.read_verdict(**missing)).outcome == "answered"


async def test_replicas_of_another_revision_are_asked_again() -> None:
    bench = Bench()
    await bench.read_verdict()
    assert (await bench.read_verdict(revision="b")).outcome == "pending"
    assert bench.questions == 2


async def test_a_changed_number_of_replicas_is_not_asked_again() -> None:
    """An autoscaler changes their number all day, and with it the Deployment's generation."""
    scaled = {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 9}}
    bench = Bench()
    await bench.read_verdict(spec=scaled)
    more: dict[str, Any] = {
        "generation": 5,
        "observed_generation": 5,
        "desired": 5,
        "replicas": 5,
        "updated": 5,
    }
    assert (await bench.read_verdict(spec=scaled, **more)).outcome == "answered"
    assert (await bench.read_verdict(spec=scaled, **more, available=5, ready=5)).outcome == "answered"
    assert bench.questions == 1


async def test_the_old_answer_stays_during_the_next_question() -> None:
    bench = Bench()
    await bench.read_verdict()
    bench.now += CanaryProber.ANSWERED_SECONDS
    bench.verdict = CanaryVerdict(outcome="failed", detail="gone")
    assert (await bench.read_verdict()).outcome == "answered"
    assert bench.questions == 2
    assert (await bench.read_verdict()).outcome == "failed"


async def test_a_failed_question_is_repeated_with_growing_pauses_until_it_succeeds() -> None:
    bench = Bench(verdict=CanaryVerdict(outcome="failed", detail="warming up"))
    await bench.read_verdict()
    pauses = []
    for _ in range(7):
        pause = bench.canary.retry_in(KEY)
        assert pause is not None
        pauses.append(pause)
        bench.now += pause
        await bench.read_verdict()
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    bench.verdict = CanaryVerdict(outcome="answered")
    bench.now += 60
    await bench.read_verdict()
    assert (await bench.read_verdict()).outcome == "answered"
    assert bench.canary.retry_in(KEY) is None


async def test_a_question_that_raises_is_a_failure_and_is_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()

    async def failing(_: SolverKey) -> CanaryVerdict:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    canary = CanaryProber(failing, clock=lambda: bench.now, requeue=bench.requeued.append)
    canary.verdict(solver(), deployment(), PODS)
    for _ in range(5):
        await asyncio.sleep(0)
    actual = canary.verdict(solver(), deployment(), PODS)
    assert actual.outcome == "failed"
    assert actual.detail.startswith("UnicodeDecodeError: ")
    assert bench.requeued == [KEY]
    assert canary.retry_in(KEY) == 2
    assert "Traceback" in caplog.text


async def test_a_forgotten_solver_is_no_longer_asked() -> None:
    bench = Bench()
    bench.canary.verdict(solver(), deployment(), PODS)
    bench.canary.forget(KEY)
    await bench.canary.close()
    assert bench.questions == 0
    assert bench.requeued == []


def test_a_verdict_is_about_ready_pods_of_a_revision() -> None:
    one = fingerprint(solver(), deployment(), [pod(ready=True, revision="a")])
    same = fingerprint(
        solver(), deployment(), [pod("x", ready=True, revision="a"), pod("y", ready=False, revision="b")]
    )
    other = fingerprint(solver(), deployment(), [pod(ready=True, revision="b")])
    assert one == same != other
