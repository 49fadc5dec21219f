"""Exercise the whole native library on a tiny model; test_sanitizers.py runs this in a process of its own.

`python workload.py LIBRARY MODEL INSTRUCTIONS` exits with 0. A further argument `overrun` or `race` breaks the
library's
rules, and a sanitizer has to report it."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

import numpy as np

from mcq_service.engine import BatchItem, Logits
from mcq_service.engine.int8 import native
from mcq_service.engine.int8.int8_engine import Int8Engine, Int8Sequence

THREADS = 5
CONTEXT = 512
VOCABULARY = 1003
SEED = 7


def steps(engine: Int8Engine, chance: random.Random, count: int) -> None:
    """Open, fork, step and close sequences at random; sometimes try invalid steps."""
    engine.cache_prefix([7, 8, 9, 10, 11])
    open_: list[Int8Sequence] = []
    for _ in range(count):
        while len(open_) < chance.randint(1, 9):
            if open_ and chance.random() < 0.4:
                open_.append(engine.fork(chance.choice(open_), room=chance.randint(0, 40)))
            else:
                prefix = [7, 8, 9, 10, 11] if chance.random() < 0.5 else []
                open_.append(engine.open([*prefix, 1, 2], room=chance.choice((0, 3, 70))))
        items = [item for sequence in open_ if (item := random_item(sequence, chance)) is not None]
        if items:
            outputs = engine.step(items)
            for item in items:
                engine.forget(item.sequence, chance.randint(0, len(item.tokens) - 1))
            assert all(np.isfinite(output.scores).all() for output in outputs)
        refused(engine, open_[0])
        for sequence in chance.sample(open_, chance.randint(0, len(open_))):
            open_.remove(sequence)
            engine.close(sequence)
    for sequence in open_:
        engine.close(sequence)


def random_item(sequence: Int8Sequence, chance: random.Random) -> BatchItem[Int8Sequence] | None:
    """Make a random batch item that fits the sequence's room."""
    room = sequence.limit - sequence.length
    if room < 1:
        return None
    tokens = [chance.randrange(VOCABULARY) for _ in range(chance.randint(1, room))]
    score = [chance.randrange(VOCABULARY) for _ in range(chance.randint(0, 5))]
    return BatchItem(
        sequence,
        tokens,
        score=score,
        greedy=chance.randint(0, min(4, len(tokens))),
        logits=chance.choice([*Logits]),
    )


def refused(engine: Int8Engine, sequence: Int8Sequence) -> None:
    """Try more tokens than the room, and a token outside the vocabulary."""
    for tokens in [1] * (sequence.limit - sequence.length + 200), [VOCABULARY]:
        try:
            engine.step([BatchItem(sequence, tokens)])
        except ValueError:
            continue
        raise AssertionError(tokens)


def overrun(engine: Int8Engine) -> None:
    """Claim more tokens than the array has."""
    sequence = engine.open([1] * 400, room=0)
    tokens = np.ones(300, dtype=np.int32)
    item = native.BatchItem(sequence=sequence.handle, tokens=native.pointer(tokens), count=400)
    native.library().mcq_step(engine._engine, (native.BatchItem * 1)(item), 1)


def race(engine: Int8Engine) -> None:
    """Run steps in two threads at once."""
    both = threading.Barrier(2)

    def step() -> None:
        sequence = engine.open([1] * 40, room=0)
        both.wait()
        engine.step([BatchItem(sequence, [1] * 40)])

    threads = [threading.Thread(target=step) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(library: str, model: str, instructions: str, fault: str = "") -> None:
    """Run the workload or a fault."""
    native.NATIVE_LIBRARY = Path(library)  # type: ignore[attr-defined]
    engine = Int8Engine(Path(model), context_length=CONTEXT, threads=THREADS, instructions=instructions)  # type: ignore[arg-type]
    if fault:
        {"overrun": overrun, "race": race}[fault](engine)
    else:
        steps(engine, random.Random(SEED), 60)
        engine.products(3, outputs=2)
    engine.shut_down()


if __name__ == "__main__":
    main(*sys.argv[1:])
