"""An error of one text leaves the results of the step's other texts unchanged."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.service.fakes import until
from tests.service.scheduler.test_scheduler import LetterTokenizer, written
from tests.service.scripted import ScriptedEngine, ScriptedSequence
from tests.service.tiny_int8 import CONTEXT, VOCABULARY, write_tiny_int8

from mcq_service.engine import BatchItem, Logits, Output
from mcq_service.engine.int8 import native
from mcq_service.engine.int8.int8_engine import Int8Engine
from mcq_service.scheduler import LocalText, LocalTextEngine, Sampler, Scheduler
from mcq_service.scheduler.tasks import ScoreTask

BAD = 60
TEXTS = 13


class FragileEngine(ScriptedEngine):
    """Fails before it reads if an item has the token BAD or if there are more than `most` items."""

    most = 1000
    raises: BaseException = ValueError("broken")

    def step(self, items: Sequence[BatchItem[ScriptedSequence]]) -> list[Output]:
        if len(items) > self.most or any(BAD in item.tokens for item in items):
            self.steps.append([list(item.tokens) for item in items])
            assert self.gate.wait(10)
            self.before_failing()
            raise self.raises
        return super().step(items)

    def before_failing(self) -> None:
        """Run while a step fails; subclasses and tests replace it."""


@pytest.fixture
def engine() -> FragileEngine:
    return FragileEngine()


@pytest.fixture
async def texts(engine: FragileEngine) -> AsyncIterator[LocalTextEngine]:
    scheduler = Scheduler(engine)
    yield LocalTextEngine(scheduler, LetterTokenizer())
    engine.gate.set()
    await until(lambda: engine.open_sequences == 0)
    assert scheduler.alive
    scheduler.stop()


async def score_labels(texts: LocalTextEngine, tokens: list[int]) -> list[float]:
    with texts.open_tokens(tokens, room=0) as text:
        return await text.score_labels(["A", "B"])


async def run_in_one_step(
    engine: ScriptedEngine, texts: LocalTextEngine, prompts: list[list[int]]
) -> list[Any]:
    """Run the prompts in one step; return their outcomes."""
    engine.gate.clear()
    before = len(engine.steps)
    first = asyncio.create_task(score_labels(texts, [1, 1]))
    await until(lambda: len(engine.steps) > before)
    tasks = [asyncio.create_task(score_labels(texts, prompt)) for prompt in prompts]
    await asyncio.sleep(0.01)
    engine.steps.clear()
    engine.gate.set()
    await first
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert len(engine.steps[0]) == len(prompts), "they were not in one step"
    return outcomes


@pytest.mark.parametrize("bad", [{0}, {6}, {TEXTS - 1}, {1, 2, 9}, set(range(TEXTS))])
async def test_the_others_of_a_failed_step_are_answered(
    engine: FragileEngine, texts: LocalTextEngine, bad: set[int]
) -> None:
    """Any of the texts may fail, or all; there are at most twice as many steps as texts."""
    prompts = [[2, BAD if number in bad else number] for number in range(TEXTS)]
    outcomes = await run_in_one_step(engine, texts, prompts)
    for number, outcome in enumerate(outcomes):
        assert (repr(outcome) == "ValueError('broken')") if number in bad else (outcome == [0, 1])
    assert len(engine.steps) < 2 * TEXTS
    read = [sequence.tokens for sequence in engine.opened[1:]]
    assert read == [[] if number in bad else prompt for number, prompt in enumerate(prompts)]


async def test_one_bad_text_costs_few_steps(engine: FragileEngine, texts: LocalTextEngine) -> None:
    """The search halves the step."""
    await run_in_one_step(engine, texts, [[2, BAD if number == 5 else number] for number in range(32)])
    assert len(engine.steps) == 1 + 2 * 5


async def test_a_step_too_large_for_the_memory_is_split(
    engine: FragileEngine, texts: LocalTextEngine
) -> None:
    """No text has an error."""
    engine.most, engine.raises = 4, MemoryError()
    assert await run_in_one_step(engine, texts, [[2, number] for number in range(TEXTS)]) == [[0, 1]] * TEXTS


async def test_a_text_is_written_correctly_beside_bad_ones(
    engine: FragileEngine, texts: LocalTextEngine
) -> None:
    """Each token comes once and in order."""
    with texts.open_tokens([1], room=30) as text:
        writing = asyncio.create_task(written(text, 25))
        while not writing.done():
            with pytest.raises(ValueError, match="broken"):
                await score_labels(texts, [BAD])
        assert await writing == "".join(chr(64 + number) for number in range(2, 27))


async def test_a_cancelled_text_is_not_read_again(engine: FragileEngine, texts: LocalTextEngine) -> None:
    """Its client left during the failed step."""
    loop, gone = asyncio.get_running_loop(), threading.Event()
    left: list[Any] = []

    async def leaving() -> None:
        left.append(asyncio.current_task())
        try:
            await score_labels(texts, [2, 7])
        finally:
            gone.set()

    def leave() -> None:
        if not gone.is_set():
            loop.call_soon_threadsafe(left[0].cancel)
            assert gone.wait(10)

    engine.gate.clear()
    first = asyncio.create_task(score_labels(texts, [1, 1]))
    await until(lambda: engine.steps)
    works = [score_labels(texts, [2, BAD]), leaving(), score_labels(texts, [2, 8])]
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0.01)
    engine.before_failing = leave  # type: ignore[method-assign]
    engine.gate.set()
    bad, cancelled, right = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(bad, ValueError)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert right == await first == [0, 1]
    assert [step for step in engine.steps if [2, 7] in step] == [[[2, BAD], [2, 7], [2, 8]]]


async def test_a_text_without_memory_does_not_start(
    engine: FragileEngine, texts: LocalTextEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was opened for the text, and the next one is answered."""

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(engine, "open", no_memory)
        with pytest.raises(MemoryError):
            await score_labels(texts, [1])
    assert await score_labels(texts, [1]) == [0, 1]


class BadTask(ScoreTask):
    """Fails before its step (`batch_item`) or after it (`advance`)."""

    def __init__(self, text: LocalText, where: str, error: BaseException) -> None:
        super().__init__(text)
        self._where, self._error = where, error

    def batch_item(self, count: int, *, drafts: int = 0) -> BatchItem[Any]:
        if self._where == "batch_item":
            raise self._error
        return super().batch_item(count, drafts=drafts)

    def advance(self, count: int, output: Output) -> None:
        if self._where == "advance":
            raise self._error
        super().advance(count, output)


@pytest.mark.parametrize("where", ["batch_item", "advance"])
@pytest.mark.parametrize("error", [ValueError("broken"), MemoryError("broken"), BaseException("broken")])
async def test_an_error_before_or_after_the_step_affects_only_that_text(
    engine: FragileEngine, texts: LocalTextEngine, where: str, error: BaseException
) -> None:
    """Even a panic of native code, which is no Exception, must not end the engine's thread."""
    engine.gate.clear()
    first = asyncio.create_task(score_labels(texts, [1, 1]))
    await until(lambda: engine.steps)
    with texts.open_tokens([2, 3], room=0) as text:
        other = asyncio.create_task(score_labels(texts, [2, 4]))
        bad = asyncio.create_task(text.run(BadTask(text, where, error)))
        await asyncio.sleep(0.01)
        engine.gate.set()
        with pytest.raises(Exception, match="broken"):
            await bad
    assert await other == await first == [0, 1]


async def test_an_error_while_handling_a_token_affects_only_that_text(texts: LocalTextEngine) -> None:
    """The error may be in the sampling or the spelling of the token."""

    class Broken(Sampler):
        def sample(self, row: Any) -> int:
            raise ZeroDivisionError

    def misspelt(_: object) -> bool:
        raise UnicodeError("broken")

    async def sample(sampler: Sampler, on_token: Any) -> bool:
        with texts.open_tokens([1, 2], room=4) as text:
            return await text.sample(limit=3, sampler=sampler, top=1, on_prompt=None, on_token=on_token)

    fair, broken = (kind(temperature=1, top_p=1, seed=1) for kind in (Sampler, Broken))
    outcomes = await asyncio.gather(
        sample(broken, lambda _: False),
        sample(fair, misspelt),
        sample(fair, lambda _: False),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [ZeroDivisionError, UnicodeError, bool]


async def test_an_error_in_recording_a_step_fails_no_text(engine: FragileEngine) -> None:
    """The same holds for a text that can't be closed."""

    def observe(**_: object) -> None:
        raise RuntimeError("metrics")

    scheduler = Scheduler(engine, observer=observe)
    texts = LocalTextEngine(scheduler, LetterTokenizer())
    engine.close = observe  # type: ignore[method-assign, assignment]
    assert [await score_labels(texts, [1, number]) for number in range(3)] == [[0, 1]] * 3
    assert scheduler.alive
    scheduler.stop()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny-int8")
    write_tiny_int8(path)
    return path


@pytest.mark.skipif(
    not native.instruction_set(), reason="this CPU has no AVX2, or the native library was not built"
)
async def test_the_int8_engine_is_unaffected_by_failed_steps(tiny: Path) -> None:
    """All logits of the other texts are equal to the bit in steps of several, and all memory is freed."""
    engine = Int8Engine(tiny, context_length=CONTEXT, threads=2)
    scheduler = Scheduler(engine)
    texts = LocalTextEngine(scheduler, LetterTokenizer())
    engine.cache_prefix([5, 6, 7])
    before = engine.cache_bytes

    async def logits(tokens: list[int]) -> Any:
        with texts.open_tokens(tokens, room=4) as text:
            first = await text.run(ScoreTask(text, logits=Logits.LAST))
            text.pending += [9, 8]
            second = await text.run(ScoreTask(text, logits=Logits.LAST))
        return np.concatenate([first.logits, second.logits])

    prompts = [[5, 6, 7, *(number * place % VOCABULARY for place in range(1, 90))] for number in range(1, 9)]
    reference = [await logits(prompt) for prompt in prompts]
    bad = [[*prompt[:50], VOCABULARY + number] for number, prompt in enumerate(prompts)]
    outcomes = await asyncio.gather(
        *(logits(prompt) for pair in zip(prompts, bad, strict=True) for prompt in pair),
        return_exceptions=True,
    )
    assert all("not in the model's vocabulary" in str(each) for each in outcomes[1::2])
    good: list[Any] = outcomes[::2]
    assert all(np.array_equal(row, reference_row) for row, reference_row in zip(good, reference, strict=True))
    await until(lambda: engine.cache_bytes == before)
    scheduler.stop()
    engine.shut_down()
