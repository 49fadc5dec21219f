"""Questions to replicas, asked outside the reconciles, at most one for each solver at a time.

An answer takes time. So a reconcile gets the last known answer, and a new answer requeues the solver's key.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from mcq_operator.api import Manifest, SolverKey
from mcq_operator.api.observed import is_ready

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(kw_only=True)
class Probe(Generic[Answer]):
    """The last answer about a solver, and the current question.

    Attributes:
        subject: identifies the replicas that the answer is about.
        answer: the last answer.
        due: when to ask again.
        failures: the number of failed questions in a row.
        task: the current question.

    """

    subject: str
    answer: Answer
    due: float = 0.0
    failures: int = 0
    task: asyncio.Task[None] | None = None


class Prober(Generic[Answer]):
    """Asks in the background, and keeps the last answer about each solver."""

    QUESTION: ClassVar[str]
    """The question's name in the log."""

    def __init__(
        self,
        *,
        unknown: Answer,
        pause: float,
        requeue: Callable[[SolverKey], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up.

        Args:
            unknown: the answer before the first one.
            pause: seconds between two questions about a solver.
            requeue: called with the solver's key when an answer is new.
            clock: monotonic seconds.

        """
        self._unknown = unknown
        self._pause = pause
        self._requeue = requeue
        self._clock = clock
        self._probes: dict[SolverKey, Probe[Answer]] = {}

    def forget(self, key: SolverKey) -> None:
        """Drop a solver's answer and cancel its current question."""
        probe = self._probes.pop(key, None)
        if probe is not None and probe.task is not None:
            probe.task.cancel()

    async def close(self) -> None:
        """Cancel all questions."""
        tasks = [probe.task for probe in self._probes.values() if probe.task is not None]
        for key in list(self._probes):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _answer(self, key: SolverKey, subject: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the last answer about the subject; ask again if it is due."""
        probe = self._probes.get(key)
        if probe is not None and probe.subject != subject:
            self.forget(key)
            probe = None
        if probe is None:
            probe = self._probes[key] = Probe(subject=subject, answer=self._unknown)
        if probe.task is None and self._clock() >= probe.due:
            probe.task = asyncio.create_task(self._run(key, probe, ask))
        return probe.answer

    async def _run(self, key: SolverKey, probe: Probe[Answer], ask: Callable[[], Awaitable[Answer]]) -> None:
        try:
            await self._question(key, probe, ask)
        finally:
            probe.task = None

    async def _question(
        self, key: SolverKey, probe: Probe[Answer], ask: Callable[[], Awaitable[Answer]]
    ) -> None:
        try:
            answer = await ask()
        except Exception as error:  # otherwise there would be no further question about these replicas
            logger.exception("%s: the operator could not ask the %s", key, self.QUESTION)
            answer = self._failed(error)
        self._take(key, probe, answer)

    def _failed(self, error: Exception) -> Answer:
        """Return the answer after an unexpected error."""
        return self._unknown

    def _take(self, key: SolverKey, probe: Probe[Answer], answer: Answer) -> None:
        """Keep an answer."""
        probe.due = self._clock() + self._pause
        if answer != probe.answer:
            probe.answer = answer
            self._requeue(key)


def may_be_asked(pod: Manifest) -> bool:
    """Return whether the Pod is ready, has an address and is not being deleted."""
    return is_ready(pod) and "podIP" in pod["status"] and "deletionTimestamp" not in pod["metadata"]
