"""The scenarios, and the questions of each; no two scenarios share a question."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Question = dict[str, Any]
_SEED = 7


@dataclass(frozen=True)
class Scenario:
    """`questions` in total, `together` in parallel, each with up to `tokens` of reasoning; 0 is mode `answer`."""

    name: str
    questions: int
    together: int
    tokens: int


SCENARIOS = (
    Scenario("answer only, 64 at once", 64, 64, 0),
    Scenario("26 tokens of reasoning, 16 at once", 16, 16, 26),
    Scenario("50 tokens of reasoning, 16 at once", 16, 16, 50),
    Scenario("26 tokens of reasoning, one at a time", 6, 1, 26),
)


@dataclass(frozen=True)
class Measured:
    """One target's results in one scenario.

    `seconds` is wall time per question; `tokens` the mean number of written tokens per question; `first` the median
    seconds to the answer of a streamed request.
    """

    seconds: float
    tokens: float
    first: float | None = None


def load(exam: Path) -> list[Question]:
    """Return the exam's questions in the same order in every run; a line of the file is {"question", "choices"}."""
    rows = [json.loads(line) for line in exam.read_text().splitlines() if line.strip()]
    random.Random(_SEED).shuffle(rows)
    return rows


def offsets() -> dict[str, int]:
    """Return each scenario's first question: a server that caches prompts must not get one twice."""
    starts, offset = {}, 0
    for scenario in SCENARIOS:
        starts[scenario.name] = offset
        offset += scenario.questions
    return starts
