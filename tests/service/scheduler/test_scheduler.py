"""The scheduler: steps, turns, prefixes and cancellation on a scripted engine."""

import asyncio
import os
import random
from collections.abc import Iterator

import pytest
from tests.service.fakes import until
from tests.service.scripted import END, ScriptedEngine

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.engine import Logits, PromptTooLong, Share, Tokenizer
from mcq_service.model_store import PreparedModel
from mcq_service.prompts import render
from mcq_service.runtime.task_group import gather
from mcq_service.scheduler import LocalText, LocalTextEngine, Scheduler
from mcq_service.scheduler.step_budget import STEP_TOKENS
from mcq_service.scheduler.tasks import ScoreTask
from mcq_service.yaml_output import Line


class LetterTokenizer(Tokenizer):
    """A tokenizer with letters as tokens: 1 is "B", 2 is "C"."""

    def __init__(self) -> None:
        self.label_tokens = {letter: number for number, letter in enumerate("ABCDEFGH")}
        self.stop_ids = frozenset({END})

    def encode_trusted(self, text: str) -> list[int]:
        return [ord(character) % 32 for character in text]

    encode_untrusted = encode_trusted

    def stream(self) -> "LetterTokenizer":  # type: ignore[override]
        return self

    def push(self, token: int) -> str:
        return chr(64 + token)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def texts(engine: ScriptedEngine) -> Iterator[LocalTextEngine]:
    scheduler = Scheduler(engine, clock=engine.clock)
    yield LocalTextEngine(scheduler, LetterTokenizer())
    engine.gate.set()
    scheduler.stop()


async def written(text: LocalText, limit: int) -> str:
    return "".join([piece async for piece in text.write(Line(), limit=limit)])


async def test_the_event_loop_has_priority_over_the_engine(texts: LocalTextEngine) -> None:
    """Otherwise a busy node could not even refuse requests in time."""
    thread = texts.scheduler._thread.native_id or 0
    await until(lambda: os.getpriority(os.PRIO_PROCESS, thread) > os.getpriority(os.PRIO_PROCESS, 0))


async def test_a_text_is_read_and_scored_in_one_step(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """The prompt is read once, and its letters' logits come back in the requested order."""
    with texts.open_tokens([5, 6, 7], room=0) as text:
        assert await text.score_labels(["A", "B", "C"]) == [0, 1, 0]
    assert engine.steps == [[[5, 6, 7]]]
    await until(lambda: engine.open_sequences == 0)


async def test_a_shared_prefix_is_not_read_again(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """It counts as cached."""
    engine.cache_prefix([5, 6])
    with texts.open_tokens([5, 6, 7], room=0) as text:
        await text.score_labels(["A"])
        assert (text.tokens.prompt, text.tokens.cached) == (3, 2)
    assert engine.steps == [[[7]]]


async def test_writing_continues_forced_text(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """Forced tokens are read with the step that writes the next one."""
    with texts.open_tokens([9], room=8) as text:
        await text.score_labels(["A"])
        text.force("AB")
        assert await written(text, 3) == "CDE"
        assert text.tokens.completion == 3
    assert engine.steps == [[[9]], [[1, 2]], [[3]], [[4]]]


async def test_the_end_of_the_turn_ends_the_text(texts: LocalTextEngine) -> None:
    """A stop token is no text, but it counts."""
    with texts.open_tokens([END - 2], room=8) as text:
        assert await written(text, 8) == chr(64 + END - 1)
        assert text.tokens.completion == 2


async def test_the_characters_that_closed_the_line_may_be_forced(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """The closing token is not part of the text."""

    class Closing(Line):
        def feed(self, piece: str) -> str:
            self.closed = piece == "E"
            return "" if self.closed else piece

    with texts.open_tokens([2], room=8) as text:
        assert "".join([piece async for piece in text.write(Closing(), limit=8)]) == "CD"
        text.force("Z")
        await text.score_labels(["A"])
    assert engine.steps[-1] == [[26]]
    assert engine.opened[0].tokens == [2, 3, 4, 26]


async def test_texts_share_steps(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """All texts that arrive during a step are in the next one."""
    engine.gate.clear()
    with texts.open_tokens([9], room=0) as first:
        tasks = [asyncio.create_task(first.score_labels(["A"]))]
        await until(lambda: engine.steps)
        opened = [texts.open_tokens([9, number], room=0) for number in range(5)]
        tasks += [asyncio.create_task(each.__enter__().score_labels(["A"])) for each in opened]
        await asyncio.sleep(0.01)
        engine.gate.set()
        await asyncio.gather(*tasks)
    assert engine.steps[1:] == [[[9, number] for number in range(5)]]


async def test_a_long_prompt_is_read_in_parts(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """No step reads more prompt tokens than its limit."""
    engine.context_length = 4096
    tokens = [number % 50 for number in range(2 * STEP_TOKENS + 7)]
    with texts.open_tokens(tokens, room=0) as text:
        await text.score_labels(["A"])
    assert [len(step[0]) for step in engine.steps] == [STEP_TOKENS, STEP_TOKENS, 7]
    assert engine.opened[0].tokens == tokens


async def score_labels(texts: LocalTextEngine, tokens: list[int], share: Share) -> None:
    with texts.open_tokens(tokens, room=0, share=share) as text:
        await text.score_labels(["A"])


async def test_requests_take_turns_in_the_engine(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """Turns count tokens: a later single prompt is read before the rest of a batch, and so is another batch."""
    engine.context_length = 4096
    engine.gate.clear()
    first, second = Share(), Share()
    tasks = [asyncio.create_task(score_labels(texts, [1] * 300, first)) for _ in range(9)]
    await until(lambda: engine.steps)
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(score_labels(texts, [2] * 100, second)) for _ in range(9)]
    tasks += [asyncio.create_task(score_labels(texts, [3] * 50, Share()))]
    await asyncio.sleep(0.01)
    engine.gate.set()
    await asyncio.gather(*tasks)
    read = [token for step in engine.steps for prompt in step for token in prompt]
    before_single = read[: read.index(3)]
    assert len(before_single) < 3 * STEP_TOKENS
    while_both = read[read.index(2) : len(read) - read[::-1].index(2)]
    assert while_both.count(2) == 900
    assert 300 <= while_both.count(1) <= 900 + 2 * 300
    assert read.count(1) - while_both.count(1) > 2 * STEP_TOKENS, "the first batch was over before"


async def test_a_long_prompt_lets_short_ones_pass(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """They pass it after one step's worth of tokens; then all take turns."""
    engine.context_length = 8192
    engine.gate.clear()
    tasks = [asyncio.create_task(score_labels(texts, [1] * 8 * STEP_TOKENS, Share()))]
    await until(lambda: engine.steps)
    share = Share()
    tasks += [asyncio.create_task(score_labels(texts, [2] * 400, share)) for _ in range(12)]
    await asyncio.sleep(0.01)
    engine.gate.set()
    await asyncio.gather(*tasks)
    by_step = [[tokens[0] for tokens in step] for step in engine.steps]
    first_short = next(number for number, step in enumerate(by_step) if 2 in step)
    last_short = max(number for number, step in enumerate(by_step) if 2 in step)
    assert first_short <= 2
    assert sum(1 in step for step in by_step[first_short:last_short]) >= 4


async def test_steps_take_a_second_on_a_slow_engine(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """A new request, a cancellation and a deadline wait no longer, once the engine's speed is known."""
    engine.seconds_per_token = 1 / 50
    with texts.open_tokens([1] * 40, room=0) as warm_up, texts.open_tokens([1] * 120, room=0) as text:
        await warm_up.score_labels(["A"])
        await text.score_labels(["A"])
    assert [len(step[0]) for step in engine.steps] == [40, 50, 50, 20]


async def test_writers_get_a_token_in_every_step_beside_a_long_prompt(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """While a text is being written, the prompts' part of a step takes a fifth of a second."""
    engine.context_length = 4096
    engine.seconds_per_token = 1 / 400
    with texts.open_tokens([1] * 40, room=0) as warm_up:
        await warm_up.score_labels(["A"])
    engine.steps.clear()
    engine.gate.clear()
    with texts.open_tokens([1], room=60) as writer, texts.open_tokens([2] * 1000, room=0) as prompt:
        writing = asyncio.create_task(written(writer, 50))
        await until(lambda: engine.steps)
        reading = asyncio.create_task(prompt.score_labels(["A"]))
        await asyncio.sleep(0.01)
        engine.gate.set()
        await reading
        with_prompt = [step for step in engine.steps if len(step) == 2]
        assert [len(step[1]) for step in with_prompt][:5] == [80] * 5
        assert all(len(step[0]) == 1 for step in with_prompt)
        assert len(await writing) == 50


async def test_an_answer_does_not_wait_for_others_reasoning(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """The answer is in the next step."""
    engine.gate.clear()
    with texts.open_tokens([1], room=60) as writer, texts.open_tokens([2, 2], room=0) as short:
        writing = asyncio.create_task(written(writer, 50))
        await until(lambda: engine.steps)
        answer = asyncio.create_task(short.score_labels(["A"]))
        await asyncio.sleep(0.01)
        engine.gate.set()
        await answer
        assert [2, 2] in engine.steps[1]
        await writing


async def test_cancelling_frees_the_text_within_a_step(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """A client that leaves costs at most the current step."""
    engine.gate.clear()

    async def work() -> None:
        with texts.open_tokens([1], room=60) as text:
            await written(text, 50)

    task = asyncio.create_task(work())
    await until(lambda: engine.steps)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    engine.gate.set()
    await until(lambda: engine.open_sequences == 0)
    assert len(engine.steps) == 1


async def test_an_engines_error_affects_only_that_step(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """The error reaches the texts of the step, and the next text is served."""
    engine.error = ValueError("broken")
    with texts.open_tokens([1], room=0) as text, pytest.raises(ValueError, match="broken"):
        await text.score_labels(["A"])
    engine.error = None
    with texts.open_tokens([1], room=0) as text:
        assert await text.score_labels(["B"]) == [1]
    assert texts.scheduler.alive


async def test_a_fork_is_answered_although_another_is_cancelled_while_it_reads_their_parent(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """The step that was running has read the parent for both."""
    engine.gate.clear()
    with (
        texts.open_tokens([5, 6], room=0) as parent,
        texts.open_tokens([5, 6, 7], room=0, parent=parent) as first,
        texts.open_tokens([5, 6, 8], room=0, parent=parent) as second,
    ):
        reading = asyncio.create_task(first.score_labels(["A", "B"]))
        await until(lambda: engine.steps)
        waiting = asyncio.create_task(second.score_labels(["A", "B"]))
        reading.cancel()
        await until(lambda: texts.scheduler._new)
        engine.gate.set()
        assert await waiting == [0, 1]
    assert engine.steps == [[[5, 6]], [[8]]]
    await until(lambda: engine.open_sequences == 0)


async def test_a_task_that_needs_logits_fails_if_nothing_is_pending(texts: LocalTextEngine) -> None:
    with texts.open_tokens([5, 6], room=0) as text:
        await text.read()
        await text.read()
        with pytest.raises(ValueError, match="nothing to read"):
            await text.score_labels(["A"])


async def test_stop_ends_the_thread_and_cancels_the_rest(
    texts: LocalTextEngine, engine: ScriptedEngine
) -> None:
    """No caller waits for ever."""
    engine.gate.clear()
    with texts.open_tokens([1], room=60) as text:
        writing = asyncio.create_task(written(text, 50))
        await until(lambda: engine.steps)
        stopping = asyncio.create_task(asyncio.to_thread(texts.scheduler.stop))
        await asyncio.sleep(0.01)
        engine.gate.set()
        await stopping
        with pytest.raises(asyncio.CancelledError):
            await writing
        with pytest.raises(asyncio.CancelledError):
            await text.score_labels(["A"])
    assert not texts.scheduler.alive


async def test_a_text_that_does_not_fit_is_refused_with_both_numbers(texts: LocalTextEngine) -> None:
    """A prompt and its room may fill the context exactly."""
    with texts.open_tokens([1] * 500, room=12):
        pass
    with pytest.raises(PromptTooLong, match=r"500 tokens.*13.*512"), texts.open_tokens([1] * 500, room=13):
        pass


async def test_all_logits_can_be_requested(texts: LocalTextEngine) -> None:
    """The logits come for every token that was read."""
    with texts.open_tokens([1, 2, 3], room=0) as text:
        output = await text.run(ScoreTask(text, logits=Logits.EVERY))
    assert output.logits.shape == (3, 64)


async def test_cancelled_requests_leak_nothing(texts: LocalTextEngine, engine: ScriptedEngine) -> None:
    """Whenever requests are cancelled, every sequence is closed and the next request is served."""
    chance = random.Random(5)

    async def one() -> None:
        with texts.open_tokens(
            [chance.randrange(20) for _ in range(chance.randrange(1, 40))], room=60
        ) as text:
            await text.score_labels(["A"])
            text.force("AB")
            await written(text, 20)

    tasks = [asyncio.create_task(one()) for _ in range(300)]
    for task in chance.sample(tasks, 200):
        await asyncio.sleep(0)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) >= 100
    assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await until(lambda: engine.open_sequences == 0)
    with texts.open_tokens([1], room=0) as text:
        assert await text.score_labels(["B"]) == [1]


async def test_rotations_read_the_question_once(
    engine: ScriptedEngine, prepared_model: PreparedModel
) -> None:
    """The prompts of one question share its tokens, which count as cached for all but the first."""
    engine.context_length = 4096
    tokenizer = Tokenizer(prepared_model.path)
    scheduler = Scheduler(engine)
    question = Question(question="Which of these is a fruit?", choices=["stone", "apple", "car"])
    prompts = [render(question, order=order) for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])]
    try:
        encoded = await LocalTextEngine(scheduler, tokenizer).encode_shared(prompts)
        with encoded.open(Share()) as texts:
            await texts.read_stem()
            scores = await gather(texts.score_labels(index, ["A", "B", "C"]) for index in range(3))
        tokens = texts.tokens
        await until(lambda: engine.open_sequences == 0)
    finally:
        scheduler.stop()
    assert [len(row) for row in scores] == [3, 3, 3]
    stem = len(tokenizer.encode_stem(prompts[0]))
    sizes = [len(tokenizer.encode_prompt(prompt)) for prompt in prompts]
    assert sum(len(tokens) for step in engine.steps for tokens in step) == stem + sum(sizes) - 3 * stem
    assert (tokens.prompt, tokens.cached) == (sum(sizes), 2 * stem)
    assert [sequence.tokens for sequence in engine.opened[1:]] == [
        tokenizer.encode_prompt(prompt) for prompt in prompts
    ]
