"""Continuous batching: one thread owns the engine, and each step reads for everybody who has something to read.

Jobs join and leave between steps, so an answer never waits for another's reasoning, and nobody waits for the slowest.

A job's error is its own. A step that fails is repeated in halves until the job that makes it fail is alone, and the
others get what they would have got without it: an engine that fails has read nothing. For n jobs of which one fails
these are 2 log2(n) more steps, and never more than 2 n.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import InvalidStateError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcq_service.engine import Engine, Feed, Output
    from mcq_service.scheduler.tasks import Job, Readable

_log = logging.getLogger(__name__)

# Prompt tokens that are read in one step: as many as keep a CPU's products large, and no more while somebody's
# reasoning is being written, whose next token waits for the step.
STEP_TOKENS = 512
STEP_TOKENS_WHILE_WRITING = 192


class Observer(Protocol):
    """Who is told of each step."""

    def __call__(self, *, jobs: Sequence[Job], tokens: int, started_ns: int, seconds: float) -> None:
        """So many tokens were read for these jobs from `started_ns`, nanoseconds since the epoch, on."""


class _Turn(NamedTuple):
    """A job's part of one step: so many of its pending tokens."""

    job: Job
    tokens: int
    feed: Feed[Any]


class Batcher:
    """Runs jobs on one engine."""

    def __init__(self, engine: Engine[Any], *, observer: Observer | None = None) -> None:
        """Start the thread."""
        self.engine = engine
        self.now = 0.0
        """The clock by which texts take turns: the tokens that each share could have had read so far."""
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
                    with _failing(job):
                        _begin(job, self.engine)
            self._active = [job for job in [*self._active, *new] if not job.future.done()]
            self._step()

    def _close(self, text: Readable) -> None:
        # Its jobs were cancelled before it was closed, so none of them is in a step again.
        self._active = [job for job in self._active if job.text is not text]
        if text.sequence is not None:
            try:
                self.engine.close(text.sequence)
            except Exception:  # noqa: BLE001 - the others are served all the same
                _log.exception("a text's memory could not be given back")

    def _step(self) -> None:
        """Read once for the jobs that fit into the step."""
        turns = []
        for job, count in _choose(self._active):
            with _failing(job):
                turns.append(_Turn(job, count, job.feed(count)))
        self._account(turns)
        if turns:
            self._read(turns)

    def _account(self, turns: Sequence[_Turn]) -> None:
        """Move the clock on, and a prompt of which a step's worth was read behind those whose turn has come since."""
        shares = {job.text.share for job in self._active if len(job.text.pending) > 1}
        for turn in turns:
            if turn.tokens > 1:
                text = turn.job.text
                self.now += turn.tokens / len(shares)
                text.since_turn += turn.tokens
                if text.since_turn >= STEP_TOKENS:
                    text.turn, text.since_turn = text.turn + text.since_turn, 0

    def _read(self, turns: Sequence[_Turn]) -> None:
        """Read for these jobs together. If the engine fails, read for each half of them; one alone has the error."""
        started_ns, started = time.time_ns(), time.monotonic()
        outputs = self._outputs(turns)
        if outputs is None:
            middle = len(turns) // 2
            for half in (turns[:middle], turns[middle:]):
                if wanted := [turn for turn in half if not turn.job.future.done()]:
                    self._read(wanted)
            return
        for turn, output in zip(turns, outputs, strict=True):
            with _failing(turn.job):
                turn.job.read(turn.tokens, output)
        self._observe(turns, started_ns=started_ns, seconds=time.monotonic() - started)

    def _outputs(self, turns: Sequence[_Turn]) -> Sequence[Output] | None:
        """What the engine makes of the turns; None where it fails. If there is only one, its job has the error."""
        try:
            return self.engine.step([turn.feed for turn in turns])
        except BaseException as error:  # noqa: BLE001 - a panic of native code is no Exception
            if len(turns) == 1:
                _fail(turns[0].job, error)
            else:
                _log.warning("a step for %d texts failed, and is repeated in parts: %r", len(turns), error)
            return None

    def _observe(self, turns: Sequence[_Turn], *, started_ns: int, seconds: float) -> None:
        if self._observer is None:
            return
        jobs, tokens = [turn.job for turn in turns], sum(turn.tokens for turn in turns)
        try:
            self._observer(jobs=jobs, tokens=tokens, started_ns=started_ns, seconds=seconds)
        except Exception:  # noqa: BLE001 - no text's error
            _log.exception("a step could not be recorded")


def _begin(job: Job, engine: Engine[Any]) -> None:
    job.text.begin(engine)
    if not job.text.pending:
        raise ValueError("a text has nothing to read")


@contextmanager
def _failing(job: Job) -> Iterator[None]:
    """Whatever is raised ends this job, and neither the thread nor another; a cancelled job is no error."""
    try:
        yield
    except InvalidStateError:
        pass
    except BaseException as error:  # noqa: BLE001 - a panic of native code is no Exception
        _fail(job, error)


def _fail(job: Job, error: BaseException) -> None:
    if not isinstance(error, Exception):
        error = RuntimeError(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError):
        error = error.with_traceback(None)  # its frames hold the step's logits, hundreds of megabytes
    with suppress(InvalidStateError):
        job.future.set_exception(error)


def _choose(active: Sequence[Job]) -> list[tuple[Job, int]]:
    """Who reads how many tokens: all that write, each a token, and prompts, by their turns."""
    chosen = [(job, 1) for job in active if len(job.text.pending) == 1]
    room = STEP_TOKENS_WHILE_WRITING if chosen else STEP_TOKENS
    for job in sorted(active, key=lambda job: (job.text.turn, job.text.arrival)):
        if room and len(job.text.pending) > 1:
            count = min(room, len(job.text.pending))
            chosen.append((job, count))
            room -= count
    return chosen
