"""What is asked: the scenarios, and questions that no scenario shares with another."""

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
    """`questions` of them, `together` at once, each with up to `tokens` of reasoning; none is the answer alone."""

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
    """What one target did in one scenario.

    `seconds` is wall time a question; `tokens` the mean of those written a question; `first` the median seconds to the
    answer where it was streamed.
    """

    seconds: float
    tokens: float
    first: float | None = None


def load(exam: Path) -> list[Question]:
    """The exam's questions in an order that is the same in every run: {"question", "choices"} a line."""
    rows = [json.loads(line) for line in exam.read_text().splitlines() if line.strip()]
    random.Random(_SEED).shuffle(rows)  # noqa: S311 - an order, no secret
    return rows


def offsets() -> dict[str, int]:
    """Where each scenario's questions begin: a server that keeps prompts must not see one twice."""
    found, offset = {}, 0
    for scenario in SCENARIOS:
        found[scenario.name] = offset
        offset += scenario.questions
    return found
