"""The int8 engine's limit on this CPU: its matrix products alone, without attention, norms, scheduling or HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from mcq_service.api.mcq.schemas import Question as Wire
from mcq_service.engine import Tokenizer, cpus
from mcq_service.engine.int8.int8_engine import Int8Engine
from mcq_service.prompts import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.service.workload import Question

ROWS = 240  # tokens in one product: the block size of a step
_REPEATS = 8


@dataclass(frozen=True)
class Bound:
    """`tokens` is the mean number of a question's own tokens; the rate is that of the products alone."""

    tokens_per_second: float
    tokens: float

    @property
    def seconds(self) -> float:
        """Seconds per question if the products were the only cost."""
        return self.tokens / self.tokens_per_second


def measure(prepared: Path, questions: Sequence[Question]) -> Bound:
    """Time the products on the prepared int8 model, with the service's number of threads."""
    tokenizer = Tokenizer(prepared)
    engine = Int8Engine(prepared, context_length=1024, threads=cpus.available_cpus())
    engine.products(ROWS)
    started = time.monotonic()
    for _ in range(_REPEATS):
        engine.products(ROWS)
    rate = ROWS * _REPEATS / (time.monotonic() - started)
    engine.shut_down()
    return Bound(rate, mean(_own_tokens(tokenizer, question) for question in questions))


def _own_tokens(tokenizer: Tokenizer, question: Question) -> int:
    prompt = render(Wire(question=question["question"], choices=question["choices"]))
    return len(tokenizer.encode_prompt(prompt)) - len(tokenizer.encode_trusted(prompt.prefix))
