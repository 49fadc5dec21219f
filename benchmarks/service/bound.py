"""The int8 engine's limit with each instruction set of this CPU: its matrix products alone.

They lack attention, norms, scheduling and HTTP.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from mcq_service.api.mcq.question_schemas import Question as Wire
from mcq_service.engine import Tokenizer, cpus
from mcq_service.engine.int8.int8_engine import Int8Engine
from mcq_service.prompts import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.service.workload import Question
    from mcq_service.model_store import InstructionSet

ROWS = 240  # tokens in one product: the block size of a step
_REPEATS = 8


@dataclass(frozen=True)
class Bound:
    """`tokens` is the mean number of a question's own tokens.

    The rates are those of the products alone: of ROWS tokens at once without the output matrix, and of one token with
    it, as when one text is written.
    """

    instruction_set: InstructionSet
    tokens_per_second: float
    single_tokens_per_second: float
    tokens: float

    @property
    def seconds(self) -> float:
        """Seconds per question if the products were the only cost."""
        return self.tokens / self.tokens_per_second


def measure(prepared: Path, questions: Sequence[Question], instruction_set: InstructionSet) -> Bound:
    """Time the products on the prepared int8 model, with the service's number of threads."""
    tokenizer = Tokenizer(prepared)
    engine = Int8Engine(
        prepared, context_length=1024, threads=cpus.available_cpus(), instructions=instruction_set
    )
    many, single = _rate(engine, ROWS, outputs=0), _rate(engine, 1, outputs=1)
    engine.shut_down()
    tokens = mean(_own_tokens(tokenizer, question) for question in questions)
    return Bound(instruction_set, many, single, tokens)


def _rate(engine: Int8Engine, rows: int, *, outputs: int) -> float:
    """Return tokens a second."""
    engine.products(rows, outputs=outputs)
    started = time.monotonic()
    for _ in range(_REPEATS):
        engine.products(rows, outputs=outputs)
    return rows * _REPEATS / (time.monotonic() - started)


def _own_tokens(tokenizer: Tokenizer, question: Question) -> int:
    prompt = render(Wire(question=question["question"], choices=question["choices"]))
    return len(tokenizer.encode_prompt(prompt)) - len(tokenizer.encode_trusted(prompt.prefix))
