"""Continuous batching: one thread owns the engine, and each step reads for every text that has tokens to read.

A step schedules tasks, runs the engine, and hands each task its output. Tasks join and leave between steps, so an
answer never waits for another's reasoning, and no text waits for the slowest.

An error affects only its task. A failed step runs again in halves until the failing task is alone. The other tasks get
the same results as without it, because an engine that fails has read nothing. For n tasks with one failing, that takes
2 log2(n) more steps, and never more than 2 n.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import InvalidStateError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mcq_service.engine.cpus import lower_priority
from mcq_service.scheduler.prompt_lookup import MAX_DRAFT
from mcq_service.scheduler.step_budget import STEP_TOKENS, StepBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mcq_service.engine import BatchItem, Engine, Output
    from mcq_service.scheduler.tasks import SchedulableText, Task

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """A callback for each step."""

    def __call__(self, *, tasks: Sequence[Task], tokens: int, started_ns: int, seconds: float) -> None:
        """Record a step that read `tokens` for these tasks; `started_ns` is in nanoseconds since the epoch."""


class _Scheduled(NamedTuple):
    """A task's part of one step: the first `tokens` of its pending tokens."""

    task: Task
    tokens: int
    item: BatchItem[Any]


class Scheduler:
    """Runs tasks on one engine."""

    def __init__(
        self,
        engine: Engine[Any],
        *,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread."""
        self.engine = engine
        self.now = 0.0
        """The clock that orders the texts: the number of tokens that an equal share of the engine has read so far."""
        self._observer = observer
        self._clock = clock
        self._budget = StepBudget()
        self._changed = threading.Condition()
        self._new: deque[Task] = deque()
        self._closing: deque[SchedulableText] = deque()
        self._active: list[Task] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True while the engine's thread runs."""
        return self._thread.is_alive()

    def submit(self, task: Task) -> None:
        """Add a task, starting with the next step."""
        with self._changed:
            if self._stopped:
                task.future.cancel()
            self._new.append(task)
            self._changed.notify()

    def close(self, text: SchedulableText) -> None:
        """Free the text's memory before the next step, after its cancelled tasks are removed."""
        with self._changed:
            self._closing.append(text)
            self._changed.notify()

    def stop(self) -> None:
        """End the thread after the current step, for which this waits, and cancel all tasks."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()
        for task in [*self._active, *self._new]:
            task.future.cancel()

    def _run(self) -> None:
        lower_priority()
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
            for task in new:
                if not task.future.cancelled():
                    with _fail_on_error(task):
                        _start(task, self.engine)
            self._active = [task for task in [*self._active, *new] if not task.future.done()]
            self._step()

    def _close(self, text: SchedulableText) -> None:
        # Its tasks were cancelled before it was closed, so none of them enters a step again.
        self._active = [task for task in self._active if task.text is not text]
        if text.sequence is not None:
            try:
                self.engine.close(text.sequence)
            except Exception:  # noqa: BLE001 - keep serving the other texts
                _log.exception("a text's memory could not be freed")

    def _step(self) -> None:
        """Run one step: schedule, then read."""
        scheduled, chosen = [], self._schedule()
        drafts = self._drafts([count for _, count in chosen])
        for task, count in chosen:
            with _fail_on_error(task):
                scheduled.append(_Scheduled(task, count, task.batch_item(count, drafts=drafts)))
        self._account(scheduled)
        if scheduled:
            self._read(scheduled)

    def _schedule(self) -> list[tuple[Task, int]]:
        """Choose the tokens of a step: one for each text being written, then prompts in the order of their turns."""
        chosen = [(task, 1) for task in self._active if len(task.text.pending) == 1]
        room = self._budget.tokens(writing=bool(chosen))
        for task in sorted(self._active, key=lambda task: (task.text.turn, task.text.arrival)):
            if room and len(task.text.pending) > 1:
                count = min(room, len(task.text.pending))
                chosen.append((task, count))
                room -= count
        return chosen

    def _drafts(self, counts: Sequence[int]) -> int:
        """Return how many tokens each text being written may guess, so that the step stays cheap."""
        room = self.engine.cheap_tokens - sum(counts)
        return min(MAX_DRAFT, max(0, room) // max(1, counts.count(1)))

    def _account(self, scheduled: Sequence[_Scheduled]) -> None:
        """Advance the clock. Move a prompt that has read a step's worth of tokens behind the turns set since."""
        shares = {task.text.share for task in self._active if len(task.text.pending) > 1}
        for each in scheduled:
            if each.tokens > 1:
                text = each.task.text
                self.now += each.tokens / len(shares)
                text.since_turn += each.tokens
                if text.since_turn >= STEP_TOKENS:
                    text.turn, text.since_turn = text.turn + text.since_turn, 0

    def _read(self, scheduled: Sequence[_Scheduled]) -> None:
        """Run the engine for these tasks. If it fails, run it for each half of them; a single task gets the error."""
        started_ns, started = time.time_ns(), self._clock()
        outputs = self._outputs(scheduled)
        if outputs is None:
            middle = len(scheduled) // 2
            for half in (scheduled[:middle], scheduled[middle:]):
                if unfinished := [each for each in half if not each.task.future.done()]:
                    self._read(unfinished)
            return
        seconds = self._clock() - started
        self._budget.observe(tokens=_tokens_of(scheduled), seconds=seconds)
        for each, output in zip(scheduled, outputs, strict=True):
            with _fail_on_error(each.task):
                each.task.advance(each.tokens, output)
        self._observe(scheduled, started_ns=started_ns, seconds=seconds)

    def _outputs(self, scheduled: Sequence[_Scheduled]) -> Sequence[Output] | None:
        """Return the engine's outputs, or None if it fails. A task that is alone gets the error."""
        try:
            return self.engine.step([each.item for each in scheduled])
        except BaseException as error:  # noqa: BLE001 - a panic of native code is no Exception
            if len(scheduled) == 1:
                _fail(scheduled[0].task, error)
            else:
                _log.warning("a step for %d texts failed, repeating it in parts: %r", len(scheduled), error)
            return None

    def _observe(self, scheduled: Sequence[_Scheduled], *, started_ns: int, seconds: float) -> None:
        if self._observer is None:
            return
        tasks = [each.task for each in scheduled]
        try:
            self._observer(tasks=tasks, tokens=_tokens_of(scheduled), started_ns=started_ns, seconds=seconds)
        except Exception:  # noqa: BLE001 - must not fail any text
            _log.exception("a step could not be recorded")


def _tokens_of(scheduled: Sequence[_Scheduled]) -> int:
    """Return the number of tokens of a step, with drafts."""
    return sum(len(each.item.tokens) for each in scheduled)


def _start(task: Task, engine: Engine[Any]) -> None:
    task.text.open_sequence(engine)
    if not task.text.pending:
        task.nothing_pending()


@contextmanager
def _fail_on_error(task: Task) -> Iterator[None]:
    """End only this task with an error raised inside; ignore that a task was cancelled."""
    try:
        yield
    except InvalidStateError:
        pass
    except BaseException as error:  # noqa: BLE001 - a panic of native code is no Exception
        _fail(task, error)


def _fail(task: Task, error: BaseException) -> None:
    if not isinstance(error, Exception):
        error = RuntimeError(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError):
        error = error.with_traceback(None)  # its frames hold the step's logits, hundreds of megabytes
    with suppress(InvalidStateError):
        task.future.set_exception(error)
