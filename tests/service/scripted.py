"""A scripted engine: tests inspect what it reads, set what it writes, and can hold each step."""

import threading
from collections.abc import Sequence as Items
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mcq_service.engine import BatchItem, Logits, Output

VOCABULARY = 64
END = 63
LIKED = 4.0


@dataclass(eq=False)
class ScriptedSequence:
    tokens: list[int]
    length: int = 0
    closed: bool = False
    written: int = 0


@dataclass
class ScriptedEngine:
    """Writes the successor of the last token up to END, or `script` and then `end`; scores favour `best`.

    Logits are 0 except for two tokens: LIKED for the next token, and for token 0 a hundredth of the tokens read. Each
    step waits for `gate` and raises `error`, if set. `steps` records the tokens of each step. A token takes
    `seconds_per_token` of the time that `clock` shows.
    """

    best: int = 1
    script: Items[int] = ()
    end: int = END
    vocabulary: int = VOCABULARY
    error: Exception | None = None
    seconds_per_token: float = 0
    now: float = 0
    name: str = "scripted"
    context_length: int = 512
    cheap_tokens: int = 1
    gate: threading.Event = field(default_factory=threading.Event)
    steps: list[list[list[int]]] = field(default_factory=list)
    opened: list[ScriptedSequence] = field(default_factory=list)
    prefix: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def clock(self) -> float:
        return self.now

    def cache_prefix(self, tokens: Items[int]) -> None:
        self.prefix = list(tokens)

    def open(self, tokens: Items[int], *, room: int) -> ScriptedSequence:
        shared = (
            self.prefix and list(tokens[: len(self.prefix)]) == self.prefix and len(tokens) > len(self.prefix)
        )
        return self._new(self.prefix if shared else [])

    def fork(self, sequence: ScriptedSequence, *, room: int) -> ScriptedSequence:
        assert not sequence.closed
        return self._new(sequence.tokens)

    def close(self, sequence: ScriptedSequence) -> None:
        sequence.closed = True

    def forget(self, sequence: ScriptedSequence, count: int) -> None:
        del sequence.tokens[-count:]
        sequence.length -= count
        sequence.written -= count

    def step(self, items: Items[BatchItem[ScriptedSequence]]) -> list[Output]:
        self.steps.append([list(item.tokens) for item in items])
        self.now += self.seconds_per_token * sum(len(item.tokens) for item in items)
        assert self.gate.wait(10), "a test left the engine's gate closed"
        if self.error:
            raise self.error
        assert len({id(item.sequence) for item in items}) == len(items), "a sequence occurs twice in a step"
        return [self._read(item) for item in items]

    @property
    def open_sequences(self) -> int:
        return sum(not sequence.closed for sequence in self.opened)

    def _new(self, tokens: Items[int]) -> ScriptedSequence:
        self.opened.append(ScriptedSequence(list(tokens), length=len(tokens)))
        return self.opened[-1]

    def _read(self, item: BatchItem[ScriptedSequence]) -> Output:
        assert item.tokens, "an item has at least one token"
        assert not item.sequence.closed, "the sequence is closed"
        item.sequence.tokens += item.tokens
        item.sequence.length += len(item.tokens)
        count = max(item.greedy, item.logits is not Logits.NONE)
        written = [self._write(item.sequence, token) for token in item.tokens[len(item.tokens) - count :]]
        return Output(
            scores=[1.0 if token == self.best else 0.0 for token in item.score],
            greedy=written[: item.greedy],
            logits=self._logits(item, written[-1] if written else 0),
        )

    def _logits(self, item: BatchItem[ScriptedSequence], written: int) -> NDArray[np.float32] | None:
        count = {Logits.NONE: 0, Logits.LAST: 1, Logits.EVERY: len(item.tokens)}[item.logits]
        if not count:
            return None
        rows = np.zeros((count, self.vocabulary), np.float32)
        rows[-1, written] = LIKED
        rows[:, 0] = (np.arange(item.sequence.length - count, item.sequence.length) + 1) / 100
        return rows

    def _write(self, sequence: ScriptedSequence, token: int) -> int:
        sequence.written += 1
        if not self.script:
            return min(token + 1, END)
        return [*self.script, self.end][min(sequence.written - 1, len(self.script))]
