"""The questions that a solver's replicas answered, failed or abstained from, while a gate watches them.

Replicas count them from their start and report the sums, so nothing is lost if the operator restarts. The operator
asks all ready replicas, outside the reconciles.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Annotated, Any

import aiohttp
from pydantic import BaseModel, Field

from mcq_operator.api import Manifest, MCQSolver, SolverKey, names
from mcq_operator.api.gate_status import ModeTraffic, Traffic

from .probe_client import ask_replica
from .prober import Probe, Prober, may_be_asked

EVERY_SECONDS = 15.0
AT_ONCE = 8

Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]


class _Mode(BaseModel):
    questions: Count
    seconds: Seconds


class ReplicaTraffic(BaseModel):
    """The body of `/trafficz`."""

    outcomes: Annotated[dict[str, Count], Field(max_length=64)]
    modes: Annotated[dict[str, _Mode], Field(max_length=16)]


async def ask_traffic(session: aiohttp.ClientSession, address: str) -> ReplicaTraffic | None:
    """Ask at the Pod's address; return None if the replica gives no counts. Never raise."""
    return await ask_replica(session, address, "/trafficz", ReplicaTraffic, port=names.PROBE_PORT)


class TrafficProber(Prober[Traffic | None]):
    """Keeps the sum over each watched solver's replicas."""

    QUESTION = "question for the traffic"

    def __init__(self, ask: Callable[[str], Awaitable[ReplicaTraffic | None]], **options: Any) -> None:
        """`ask` gets a replica's address; see Prober."""
        super().__init__(unknown=None, pause=EVERY_SECONDS, **options)
        self._ask = ask

    def total(self, solver: MCQSolver, pods: Iterable[Manifest]) -> Traffic | None:
        """Return the last sum over the ready replicas.

        None before the first answer, and zeros if no replica is ready or one gives no counts.
        """
        ready = {pod["metadata"]["uid"]: pod["status"]["podIP"] for pod in pods if may_be_asked(pod)}
        if not ready:
            self.forget(solver.key)
            return Traffic()
        subject = " ".join(sorted(ready))
        return self._answer(solver.key, subject, partial(self._ask_all, [*ready.values()]))

    def retry_in(self, key: SolverKey) -> float | None:
        """Return the seconds until the replicas are asked again, or None if they are not asked."""
        return EVERY_SECONDS if key in self._probes else None

    async def _ask_all(self, addresses: list[str]) -> Traffic | None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def ask(address: str) -> ReplicaTraffic | None:
            async with turns:
                return await self._ask(address)

        answers = await asyncio.gather(*map(ask, addresses))
        known = [each for each in answers if each is not None]
        return total(known) if len(known) == len(answers) else Traffic()

    def _take(self, key: SolverKey, probe: Probe[Traffic | None], answer: Traffic | None) -> None:
        """Keep a sum; a replica that did not answer once changes nothing."""
        if answer == Traffic() and probe.answer is not None:
            probe.due = self._clock() + self._pause
        else:
            super()._take(key, probe, answer)


def total(replicas: Iterable[ReplicaTraffic]) -> Traffic:
    """Return the sum over replicas."""
    outcomes: dict[str, int] = {}
    modes: dict[str, tuple[int, float]] = {}
    for each in replicas:
        for outcome, count in each.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        for name, mode in each.modes.items():
            questions, seconds = modes.get(name, (0, 0.0))
            modes[name] = questions + mode.questions, seconds + mode.seconds
    return Traffic(
        questions=_count(outcomes, {*names.ANSWERED_OUTCOMES, *names.FAILED_OUTCOMES}),
        failed=_count(outcomes, names.FAILED_OUTCOMES),
        abstained=outcomes.get("abstained", 0),
        modes=[
            ModeTraffic(mode=name, questions=questions, seconds=round(seconds, 3))
            for name, (questions, seconds) in sorted(modes.items())
        ],
    )


def _count(outcomes: Mapping[str, int], chosen: Iterable[str]) -> int:
    return sum(outcomes.get(outcome, 0) for outcome in chosen)
