"""Continuous batching: one thread owns the engine, and each step reads for everybody who has something to read.

Jobs join and leave between steps, so an answer never waits for another's reasoning, and nobody waits for the slowest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import InvalidStateError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcq_service.engines import Engine
    from mcq_service.scheduling.jobs import Job, Readable

# Prompt tokens that are read in one step: as many as keep a CPU's products large, and no more while somebody's
# reasoning is being written, whose next token waits for the step.
STEP_TOKENS = 512
STEP_TOKENS_WHILE_WRITING = 192


class Observer(Protocol):
    """Who is told of each step."""

    def __call__(self, *, jobs: Sequence[Job], tokens: int, started_ns: int, seconds: float) -> None:
        """So many tokens were read for these jobs from `started_ns`, nanoseconds since the epoch, on."""


class Batcher:
    """Runs jobs on one engine."""

    def __init__(self, engine: Engine[Any], *, observer: Observer | None = None) -> None:
        """Start the thread."""
        self.engine = engine
        self._observer = observer
        self._changed = threading.Condition()
        self._new: deque[Job] = deque()
        self._closing: deque[Readable] = deque()
        self._active: list[Job] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine's thread runs."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Let the job take part from the next step on."""
        with self._changed:
            if self._stopped:
                job.future.cancel()
            self._new.append(job)
            self._changed.notify()

    def close(self, text: Readable) -> None:
        """Give the text's memory back before the next step, when its cancelled jobs are gone."""
        with self._changed:
            self._closing.append(text)
            self._changed.notify()

    def stop(self) -> None:
        """End the thread after the step it is in; jobs are cancelled."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()
        for job in [*self._active, *self._new]:
            job.future.cancel()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._new or self._active or self._closing)
                if self._stopped:
                    return
                new, closing = list(self._new), list(self._closing)
                self._new.clear()
                self._closing.clear()
            for text in closing:
                self._close(text)
            for job in new:
                if not job.future.cancelled():
                    with _failing([job]):
                        job.text.begin(self.engine)
            self._active = [job for job in [*self._active, *new] if not job.future.done()]
            self._step()

    def _close(self, text: Readable) -> None:
        # Its jobs were cancelled before it was closed, so none of them is in a step again.
        self._active = [job for job in self._active if job.text is not text]
        if text.sequence is not None:
            self.engine.close(text.sequence)

    def _step(self) -> None:
        """Read once for the jobs that fit into the step."""
        chosen = _choose(self._active)
        if not chosen:
            return
        started_ns, started = time.time_ns(), time.monotonic()
        jobs = [job for job, _ in chosen]
        with _failing(jobs):
            outputs = self.engine.step([job.feed(count) for job, count in chosen])
            for (job, count), output in zip(chosen, outputs, strict=True):
                with _failing([job]):
                    job.read(count, output)
            if self._observer:
                seconds = time.monotonic() - started
                tokens = sum(count for _, count in chosen)
                self._observer(jobs=jobs, tokens=tokens, started_ns=started_ns, seconds=seconds)


@contextmanager
def _failing(jobs: Sequence[Job]) -> Iterator[None]:
    """Whatever is raised ends these jobs, not the thread; a job that nobody wants any more is no error."""
    try:
        yield
    except InvalidStateError:
        pass
    except Exception as error:  # noqa: BLE001
        for job in jobs:
            with suppress(InvalidStateError):
                job.future.set_exception(error)


def _choose(active: Sequence[Job]) -> list[tuple[Job, int]]:
    """Who reads how many tokens: all that write, each a token, and prompts, the oldest text first."""
    chosen = [(job, 1) for job in active if len(job.text.pending) == 1]
    room = STEP_TOKENS_WHILE_WRITING if chosen else STEP_TOKENS
    for job in sorted(active, key=lambda job: job.text.arrival):
        if room and len(job.text.pending) > 1:
            count = min(room, len(job.text.pending))
            chosen.append((job, count))
            room -= count
    return chosen
