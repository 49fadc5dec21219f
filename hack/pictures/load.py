"""A modest load of questions, of all kinds that a service gets: also wrong ones, and for a while too many."""

from __future__ import annotations

import random
import threading
import time
import urllib.error
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hack.ask import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

Question = dict[str, Any]

KINDS: tuple[tuple[int, Question], ...] = (
    # how many of 20, and what these ask for
    (8, {"mode": "answer"}),
    (2, {"mode": "answer", "debias": "rotations"}),
    (5, {"mode": "explain", "max_reasoning_tokens": 24}),
    (2, {"mode": "reason", "max_reasoning_tokens": 24}),
    (2, {"mode": "answer", "min_confidence": 0.95}),
    (1, {"choices": ["the only choice"]}),  # a mistake of the client
)


@dataclass(frozen=True)
class Phase:
    """For some seconds, each of `clients` asks, and pauses up to `pause` seconds after each answer."""

    seconds: float
    clients: int
    pause: float


def send(url: str, questions: Sequence[Question], phases: Sequence[Phase]) -> Counter[str]:
    """Ask the questions, phase by phase, with their choices in random orders; return the outcomes by status."""
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()

    def client(number: int, phase: Phase, until: float) -> None:
        chance = random.Random(f"{phase}/{number}")
        while time.monotonic() < until:
            outcome = _ask(url, _request(questions, chance))
            with lock:
                outcomes[outcome] += 1
            time.sleep(chance.random() * phase.pause)

    for phase in phases:
        until = time.monotonic() + phase.seconds
        with ThreadPoolExecutor(phase.clients) as pool:
            for each in [pool.submit(client, number, phase, until) for number in range(phase.clients)]:
                each.result()
    return outcomes


def _request(questions: Sequence[Question], chance: random.Random) -> Question:
    question = chance.choice(questions)
    choices = chance.sample(question["choices"], len(question["choices"]))
    [kind] = chance.choices([kind for _, kind in KINDS], [weight for weight, _ in KINDS])
    return {"question": question["question"], "choices": choices, **kind}


def _ask(url: str, request: Question) -> str:
    try:
        return "answered" if ask(url, request)["answer"] else "abstained"
    except urllib.error.HTTPError as error:
        error.close()
        return str(error.code)
