"""The canary: a real question to a solver's Service, so that Ready means answering and not just running."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import aiohttp

from mcq_operator.api import Manifest, MCQSolver, SolverKey, names
from mcq_operator.api.observed import CanaryVerdict, Deployment, is_ready
from mcq_operator.api.text import one_line

from .probe_client import ProbeError, Reply, get
from .prober import Probe, Prober

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0
ANSWERING = frozenset({200, 429})
"""A replica that rejects the question under load still answers others, so 429 is not a failure."""
REDIRECTS = range(300, 400)
LONGEST_QUOTE = 300
"""Characters that a verdict quotes from a replica."""
PENDING = CanaryVerdict(outcome="pending")


async def ask_canary(session: aiohttp.ClientSession, url: str, key: SolverKey) -> CanaryVerdict:
    """Ask over HTTP, through the Service, as any client in the cluster does; never raise.

    The replica itself has the question, at `/answerz`. This path needs no API key, because the operator must not read
    Secrets. The question goes through the replica's engine and parser like a client's, but does not queue behind
    clients. `url` has the placeholders `{name}` and `{namespace}`.
    """
    try:
        address = url.format(name=key.name, namespace=key.namespace) + "/answerz"
        reply = await get(session, address, seconds=TIMEOUT_SECONDS)
    except ProbeError as error:
        return _failed_verdict(str(error))
    return (
        CanaryVerdict(outcome="answered") if reply.status in ANSWERING else _failed_verdict(_described(reply))
    )


class CanaryProber(Prober[CanaryVerdict]):
    """Keeps each solver's verdict, together with the replicas that it is about."""

    QUESTION = "test question"
    ANSWERED_SECONDS = 600.0
    FIRST_RETRY_SECONDS = 2.0
    LONGEST_RETRY_SECONDS = 60.0

    def __init__(
        self, ask: Callable[[SolverKey], Awaitable[CanaryVerdict]], *, at_once: int = 8, **options: Any
    ) -> None:
        """Ask `at_once` solvers at the same time; see Prober."""
        super().__init__(unknown=PENDING, pause=self.ANSWERED_SECONDS, **options)
        self._ask = ask
        self._turns = asyncio.Semaphore(at_once)

    def verdict(
        self, solver: MCQSolver, deployment: Deployment | None, pods: Iterable[Manifest]
    ) -> CanaryVerdict:
        """Return the known verdict about these replicas; ask if there is none, or if it has expired.

        Don't ask while there are replicas of an earlier revision: one of them could answer. Replicas may be missing.
        """
        if deployment is None or not deployment.has_only_newest:
            return PENDING
        replicas = fingerprint(solver, deployment, pods)
        return self._answer(solver.key, replicas, partial(self._ask_in_turn, solver.key))

    def retry_in(self, key: SolverKey) -> float | None:
        """Return the seconds until the next try of a failed question, or None if none failed."""
        probe = self._probes.get(key)
        if probe is None or probe.task is not None or probe.answer.outcome != "failed":
            return None
        return max(0.0, probe.due - self._clock())

    async def _ask_in_turn(self, key: SolverKey) -> CanaryVerdict:
        async with self._turns:
            return await self._ask(key)

    def _failed(self, error: Exception) -> CanaryVerdict:
        return _failed_verdict(f"{type(error).__name__}: {error}")

    def _take(self, key: SolverKey, probe: Probe[CanaryVerdict], answer: CanaryVerdict) -> None:
        """Keep a verdict, and requeue the solver even after the same one: its reconcile waits for the next try."""
        probe.failures = probe.failures + 1 if answer.outcome == "failed" else 0
        probe.due = self._clock() + self._lifetime(probe.failures)
        if answer != probe.answer:
            logger.info("%s: test question: %s. %s", key, answer.outcome, answer.detail)
        probe.answer = answer
        self._requeue(key)

    def _lifetime(self, failures: int) -> float:
        if not failures:
            return self.ANSWERED_SECONDS
        return min(self.FIRST_RETRY_SECONDS * 2.0 ** (failures - 1), self.LONGEST_RETRY_SECONDS)


def fingerprint(solver: MCQSolver, deployment: Deployment, pods: Iterable[Manifest]) -> str:
    """Identify a verdict's replicas by solver, Deployment and revisions of ready Pods, but not by their number."""
    revisions = {
        pod["metadata"].get("labels", {}).get(names.POD_REVISION, "") for pod in pods if is_ready(pod)
    }
    parts = (solver.metadata.uid, deployment.uid, *sorted(revisions))
    return "/".join(parts)


def _described(reply: Reply) -> str:
    if reply.status in REDIRECTS:
        return f"HTTP {reply.status}: a redirect, which the operator does not follow."
    return f"HTTP {reply.status}: {reply.body.decode(errors='replace')}"


def _failed_verdict(detail: str) -> CanaryVerdict:
    return CanaryVerdict(outcome="failed", detail=one_line(detail)[:LONGEST_QUOTE])
