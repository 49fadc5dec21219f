"""A scripted engine of tokens: what it reads and writes is plain to see, and each step can be held."""

import threading
from collections.abc import Sequence as Items
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mcq_service.engine import Feed, Logits, Output

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

    Logits are 0 but for two tokens: LIKED for the one it would write, and of token 0 a hundredth of the tokens read.
    Each step waits for `gate`, and raises `error` if there is one. `steps` has what each step read.
    """

    best: int = 1
    script: Items[int] = ()
    end: int = END
    vocabulary: int = VOCABULARY
    error: Exception | None = None
    name: str = "scripted"
    context_length: int = 512
    gate: threading.Event = field(default_factory=threading.Event)
    steps: list[list[list[int]]] = field(default_factory=list)
    opened: list[ScriptedSequence] = field(default_factory=list)
    prefix: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def share(self, tokens: Items[int]) -> None:
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

    def step(self, feeds: Items[Feed[ScriptedSequence]]) -> list[Output]:
        self.steps.append([list(feed.tokens) for feed in feeds])
        assert self.gate.wait(10), "a test left the engine's gate closed"
        if self.error:
            raise self.error
        assert len({id(feed.sequence) for feed in feeds}) == len(feeds), "a sequence stood twice in a step"
        return [self._read(feed) for feed in feeds]

    @property
    def open_sequences(self) -> int:
        return sum(not sequence.closed for sequence in self.opened)

    def _new(self, tokens: Items[int]) -> ScriptedSequence:
        self.opened.append(ScriptedSequence(list(tokens), length=len(tokens)))
        return self.opened[-1]

    def _read(self, feed: Feed[ScriptedSequence]) -> Output:
        assert feed.tokens, "a feed has at least one token"
        assert not feed.sequence.closed, "a closed sequence was fed"
        feed.sequence.tokens += feed.tokens
        feed.sequence.length += len(feed.tokens)
        written = self._write(feed) if feed.greedy or feed.logits is not Logits.NONE else 0
        return Output(
            scores=[1.0 if token == self.best else 0.0 for token in feed.score],
            token=written if feed.greedy else None,
            logits=self._logits(feed, written),
        )

    def _logits(self, feed: Feed[ScriptedSequence], written: int) -> NDArray[np.float32] | None:
        count = {Logits.NONE: 0, Logits.LAST: 1, Logits.EVERY: len(feed.tokens)}[feed.logits]
        if not count:
            return None
        rows = np.zeros((count, self.vocabulary), np.float32)
        rows[-1, written] = LIKED
        rows[:, 0] = (np.arange(feed.sequence.length - count, feed.sequence.length) + 1) / 100
        return rows

    def _write(self, feed: Feed[ScriptedSequence]) -> int:
        if not self.script:
            return min(feed.tokens[-1] + 1, END)
        feed.sequence.written += 1
        return [*self.script, self.end][min(feed.sequence.written - 1, len(self.script))]
