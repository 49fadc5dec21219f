"""The canary: a real question to a solver's Service, so that Ready means answering and not just running.

An answer takes time, so the canary asks beside the reconciles. A reconcile gets the last known verdict, and a new
verdict requeues the solver's key.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from mcq_operator.api import Manifest, MCQSolver, SolverKey, names
from mcq_operator.api.observed import CanaryVerdict, Deployment, is_ready
from mcq_operator.api.text import one_line

from . import ProbeClient, ProbeError, Reply
from .prober import Probe, Prober

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0
ANSWERING = frozenset({200, 429})
"""A replica that rejects the question under load still answers others, so 429 is no failure."""
REDIRECTS = range(300, 400)
LONGEST_QUOTE = 300
"""Characters that a verdict quotes from a replica."""
PENDING = CanaryVerdict(outcome="pending")


class AskCanary(Protocol):
    """Asks a solver the question."""

    async def __call__(self, key: SolverKey, /) -> CanaryVerdict:
        """Return `answered`, or `failed` with what happened; never raises."""


class HttpCanary:
    """Asks over HTTP, through the Service, as any client in the cluster does.

    The replica itself has the question (`/answerz`), which needs no API key, because the operator must not read
    Secrets. It passes the replica's engine and parser like a client's question, but does not queue behind clients.
    """

    def __init__(self, probe_client: ProbeClient, *, url: str) -> None:
        """Ask at `url`, with the solver's `{name}` and `{namespace}` filled in."""
        self._client = probe_client
        self._url = url

    async def __call__(self, key: SolverKey) -> CanaryVerdict:
        """Ask once."""
        url = self._url.format(name=key.name, namespace=key.namespace) + "/answerz"
        try:
            reply = await self._client.get(url, seconds=TIMEOUT_SECONDS)
        except ProbeError as error:
            return _failed(str(error))
        return CanaryVerdict(outcome="answered") if reply.status in ANSWERING else _failed(_described(reply))


@dataclass(kw_only=True)
class _CanaryProbe(Probe):
    fingerprint: str
    verdict: CanaryVerdict = PENDING
    expires: float = 0.0
    failures: int = 0


class CanaryProber(Prober[_CanaryProbe]):
    """Keeps each solver's verdict, together with the replicas that it is about."""

    ANSWERED_SECONDS = 600.0
    FIRST_RETRY_SECONDS = 2.0
    LONGEST_RETRY_SECONDS = 60.0

    def __init__(
        self,
        ask: AskCanary,
        *,
        clock: Callable[[], float],
        requeue: Callable[[SolverKey], None],
        at_once: int = 8,
    ) -> None:
        """Set up.

        Args:
            ask: asks the question.
            clock: monotonic seconds.
            requeue: called with the solver's key after each question.
            at_once: how many solvers are asked at the same time.

        """
        super().__init__()
        self._ask = ask
        self._clock = clock
        self._requeue = requeue
        self._turns = asyncio.Semaphore(at_once)

    def verdict(
        self, solver: MCQSolver, deployment: Deployment | None, pods: Iterable[Manifest]
    ) -> CanaryVerdict:
        """Return the known verdict about these replicas; ask if there is none, or if it has expired.

        Don't ask before the roll-out is complete: an old replica could answer.
        """
        if deployment is None or not deployment.rolled_out(solver):
            return PENDING
        replicas = fingerprint(solver, deployment, pods)
        probe = self._probes.get(solver.key)
        if probe is None or probe.fingerprint != replicas:
            self.forget(solver.key)
            probe = self._probes[solver.key] = _CanaryProbe(fingerprint=replicas)
        if probe.task is None and self._clock() >= probe.expires:
            probe.task = asyncio.create_task(self._question(solver.key, probe))
        return probe.verdict

    def retry_in(self, key: SolverKey) -> float | None:
        """Return the seconds until the next try of a failed question, or None if none failed."""
        probe = self._probes.get(key)
        if probe is None or probe.task is not None or probe.verdict.outcome != "failed":
            return None
        return max(0.0, probe.expires - self._clock())

    async def _question(self, key: SolverKey, probe: _CanaryProbe) -> None:
        try:
            async with self._turns:
                verdict = await self._ask(key)
        except Exception as error:  # otherwise the next question would wait for the next roll-out
            logger.exception("%s: the test question could not be asked", key)
            verdict = _failed(f"{type(error).__name__}: {error}")
        finally:
            probe.task = None
        probe.failures = probe.failures + 1 if verdict.outcome == "failed" else 0
        probe.expires = self._clock() + self._lifetime(probe)
        if verdict != probe.verdict:
            logger.info("%s: the test question was %s. %s", key, verdict.outcome, verdict.detail)
        probe.verdict = verdict
        self._requeue(key)

    def _lifetime(self, probe: _CanaryProbe) -> float:
        if not probe.failures:
            return self.ANSWERED_SECONDS
        return min(self.FIRST_RETRY_SECONDS * 2.0 ** (probe.failures - 1), self.LONGEST_RETRY_SECONDS)


def fingerprint(solver: MCQSolver, deployment: Deployment, pods: Iterable[Manifest]) -> str:
    """Return the identity of a verdict's subject: solver, Deployment, revisions of ready Pods; not their number."""
    revisions = {
        pod["metadata"].get("labels", {}).get(names.POD_REVISION, "") for pod in pods if is_ready(pod)
    }
    parts = (solver.metadata.uid, deployment.uid, *sorted(revisions))
    return "/".join(parts)


def _described(reply: Reply) -> str:
    if reply.status in REDIRECTS:
        return f"HTTP {reply.status}: a redirect, which the operator does not follow."
    return f"HTTP {reply.status}: {reply.body.decode(errors='replace')}"


def _failed(detail: str) -> CanaryVerdict:
    return CanaryVerdict(outcome="failed", detail=one_line(detail)[:LONGEST_QUOTE])
