"""A question that ends in any way leaves nothing behind; admission and scheduler are real, the engine scripted."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.service.fakes import QUESTION, Replica, until
from tests.service.local import local_replica
from tests.service.scripted import ScriptedEngine, ScriptedSequence

from mcq_service.api.error_mapping import EXPECTED
from mcq_service.api.mcq.answer_schemas import Answer
from mcq_service.api.mcq.question_schemas import Question
from mcq_service.engine import BatchItem, Output, PromptTooLong, Tokenizer
from mcq_service.model_store import PreparedModel
from mcq_service.scheduler import DeadlinePassed
from mcq_service.scheduler.step_budget import STEP_TOKENS

WRITTEN = "apples grow on trees " * 20
LONG = "why? " * 1500


@pytest.fixture(scope="module")
def tokenizer(prepared_model: PreparedModel) -> Tokenizer:
    return Tokenizer(prepared_model.path)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def replica(engine: ScriptedEngine, tokenizer: Tokenizer) -> Iterator[Replica]:
    with local_replica(engine, tokenizer, writes=WRITTEN) as ready_replica:
        yield ready_replica


def question(**changes: Any) -> Question:
    return Question.model_validate({**QUESTION, **changes})


async def ask(replica: Replica, **changes: Any) -> Answer:
    return await replica.mcq.answer(question(**changes))


async def check_nothing_left(replica: Replica, engine: ScriptedEngine) -> None:
    """Check that no place is taken, no sequence is open, no task waits, and the next question is answered."""
    await until(lambda: replica.admission.pending == 0)
    await until(lambda: engine.open_sequences == 0)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    answer = await ask(replica, mode="answer")
    assert answer.answer is not None
    assert answer.answer.label == "B"


async def test_a_deadline_in_the_queue_costs_no_computation(replica: Replica, engine: ScriptedEngine) -> None:
    """The service does not start a question that waited too long for its turn."""
    engine.gate.clear()
    replica.load(max_active=1, deadline_seconds=0.2)
    tasks = [asyncio.create_task(ask(replica)) for _ in range(3)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, DeadlinePassed) for outcome in outcomes)
    engine.gate.set()
    await until(lambda: engine.open_sequences == 0)
    assert len(engine.opened) == 1
    await check_nothing_left(replica, engine)


async def test_a_deadline_in_a_long_prompt_ends_its_reading(replica: Replica, engine: ScriptedEngine) -> None:
    """It ends after the current step, and the rest of the prompt is not read."""
    engine.gate.clear()
    replica.load(deadline_seconds=0.2)
    with pytest.raises(DeadlinePassed):
        await ask(replica, question=LONG)
    engine.gate.set()
    await until(lambda: engine.open_sequences == 0)
    assert [len(tokens) for step in engine.steps for tokens in step] == [STEP_TOKENS]
    await check_nothing_left(replica, engine)


class Holding(ScriptedEngine):
    """Holds its fifth step."""

    def step(self, items: Sequence[BatchItem[ScriptedSequence]]) -> list[Output]:
        if len(self.steps) == 4:
            self.gate.clear()
        return super().step(items)


async def test_a_deadline_while_writing_ends_the_question(tokenizer: Tokenizer) -> None:
    """It ends after the current step."""
    engine = Holding()
    with local_replica(engine, tokenizer, writes=WRITTEN) as replica:
        replica.load(deadline_seconds=0.3)
        with pytest.raises(DeadlinePassed):
            await ask(replica, max_reasoning_tokens=64)
        engine.gate.set()
        await until(lambda: engine.open_sequences == 0)
        assert len(engine.steps) == 5
        await check_nothing_left(replica, engine)


class Failing(ScriptedEngine):
    """Fails each step that reads the `fails`-th sequence, and holds the step after it failed alone."""

    fails: int | None = None

    def step(self, items: Sequence[BatchItem[ScriptedSequence]]) -> list[Output]:
        failing = self.opened[self.fails : self.fails + 1] if self.fails is not None else []
        if any(item.sequence is each for item in items for each in failing):
            if len(items) == 1:
                self.fails = None
                self.gate.clear()
            raise RuntimeError("broken")
        return super().step(items)


@pytest.mark.parametrize("fails", range(6))
async def test_an_error_in_one_rotation_ends_them_all(tokenizer: Tokenizer, fails: int) -> None:
    """The error may occur in the question's own order, in the shared prefix, or in another order."""
    engine = Failing()
    choices = [f"{number} " + "apple " * 400 for number in range(5)]
    with local_replica(engine, tokenizer, writes=WRITTEN) as replica:
        replica.load()
        engine.fails = fails
        with pytest.raises(RuntimeError, match="broken"):
            await ask(replica, mode="answer", debias="rotations", choices=choices)
        engine.gate.set()
        await check_nothing_left(replica, engine)


async def test_a_rotation_that_does_not_fit_refuses_the_question(
    replica: Replica, engine: ScriptedEngine, tokenizer: Tokenizer
) -> None:
    """Another order may have one token more than the question's own."""
    replica.load()
    refused = 0
    for choices in (["1", "1 1", " ".join("1" * 9)], ["x", "é́́́x", "yy"], ["the", "thé", "THE"]):
        for limit in range(150, 320):
            engine.context_length = limit
            try:
                await ask(replica, mode="answer", debias="rotations", choices=choices)
            except PromptTooLong:
                refused += 1
    assert refused
    engine.context_length = 4096
    await check_nothing_left(replica, engine)


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_leaving_clients_leaks_nothing(
    replica: Replica, engine: ScriptedEngine, seed: int
) -> None:
    """Hundreds of clients leave at any moment: queued, reading, reasoning, streaming, rotated, or in a batch."""
    chance = random.Random(seed)
    replica.load(max_queued=1000, max_queued_tokens=10_000_000, max_active=8, deadline_seconds=300)

    def changes() -> dict[str, Any]:
        return {
            "question": chance.choice(["Which?", LONG[: chance.randrange(1, 4000)]]),
            "mode": chance.choice(["answer", "explain", "reason"]),
            "debias": chance.choice(["none", "rotations"]),
            "max_reasoning_tokens": chance.randrange(1, 40),
        }

    async def streamed() -> None:
        async for _ in replica.mcq.stream(question(**changes())):
            pass

    async def ask_at_random() -> object:
        kind = chance.randrange(4)
        if kind == 0:
            await streamed()
            return None
        if kind == 1:
            return await replica.mcq.answers([question(**changes()) for _ in range(3)])
        return await ask(replica, **changes())

    tasks = [asyncio.create_task(ask_at_random()) for _ in range(300)]
    leaving = chance.sample(tasks, 250)
    for task in leaving:
        await asyncio.sleep(chance.choice([0, 0, 0, 0.001, 0.004]))
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = {type(outcome) for outcome in outcomes}
    assert not {kind for kind in kinds if issubclass(kind, Exception) and not issubclass(kind, EXPECTED)}, (
        kinds
    )
    remaining = [outcome for task, outcome in zip(tasks, outcomes, strict=True) if task not in leaving]
    assert not [outcome for outcome in remaining if isinstance(outcome, BaseException)]
    await check_nothing_left(replica, engine)
