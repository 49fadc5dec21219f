"""What questions share is read once on the int8 engine, too, and changes no answer."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.fakes import ANSWER, ANSWERS, Replica, until
from tests.service.local import small_tokenizer
from tests.service.tiny_int8 import write_tiny_int8

from mcq_service.engine.int8 import native
from mcq_service.engine.int8.int8_engine import Int8Engine
from mcq_service.mcq.calibration import Calibration
from mcq_service.prompts import plain_form
from mcq_service.scheduler import LocalTextEngine, Scheduler

CONTEXT = "The tower stands in Paris. " * 8
QUESTIONS = [
    {"question": f"Which of {n}?", "choices": ["one", "two", "three"], "mode": "answer", "debias": debias}
    for n in range(4)
    for debias in ("none", "rotations")
]


async def probabilities(client: httpx.AsyncClient, **fields: Any) -> list[Any]:
    response = await client.post(ANSWERS, json={"questions": QUESTIONS, **fields})
    return [each["answer"]["probabilities"] for each in response.json()["results"]]


@pytest.mark.skipif(native.instruction_set("") is None, reason="this CPU has no AVX2")
async def test_answers_do_not_depend_on_what_is_shared(tmp_path: Path) -> None:
    """The probabilities are the same to the bit, and no keys and values stay."""
    write_tiny_int8(tmp_path)
    engine = Int8Engine(tmp_path, context_length=512, threads=1)
    scheduler = Scheduler(engine)
    replica = Replica(texts=LocalTextEngine(scheduler, small_tokenizer(tmp_path)))
    replica.load(calibration=Calibration(prompt_digest=plain_form(0).digest))
    async with replica.client() as client:
        shared = await probabilities(client, context=CONTEXT)
        bodies = [{**each, "context": CONTEXT} for each in QUESTIONS]
        own = [(await client.post(ANSWER, json=body)).json()["probabilities"] for body in bodies]
        without = await probabilities(client)
    assert shared == own
    assert shared != without
    await until(lambda: engine.cache_bytes == 0)
    scheduler.stop()
    replica.close()
    engine.shut_down()
