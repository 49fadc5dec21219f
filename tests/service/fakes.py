"""A scripted text engine, and a replica around it without a process or a socket."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

import httpx
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mcq_service.api import app
from mcq_service.api.mcq.question_schemas import Debias
from mcq_service.api.problems import BASE_URI
from mcq_service.api.service.schemas import Identity
from mcq_service.engine import JSONGrammars, Share, Tokens
from mcq_service.mcq import AnswerOptions, MCQService, TypedQuestions
from mcq_service.mcq.calibration import Calibration
from mcq_service.mcq.escalation import Escalation
from mcq_service.openai import Generation
from mcq_service.prompts import CHATML, ChatTemplate, Prompt
from mcq_service.runtime.builder import Backend
from mcq_service.runtime.lifecycle import Lifecycle
from mcq_service.runtime.selftest import SelfTest
from mcq_service.scheduler import Admission, Limits, LocalTextEngine
from mcq_service.telemetry import Metrics, Tracing
from mcq_service.yaml_output import Line

ANSWER = "/api/v1/mcq/answer"
ANSWERS = "/api/v1/mcq/answers"
IDENTITY = Identity(
    uri="fake/model", revision=None, digest=None, precision=None, prompt_digest=CHATML.answer_first.digest
)
QUESTION: dict[str, Any] = {"question": "Which is a fruit?", "choices": ["stone", "apple", "car"]}


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until another task or thread makes the condition true; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that the response is this problem; return its body."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert (response.status_code, body["status"], body["type"]) == (status, status, f"{BASE_URI}/{slug}")
    assert body["title"]
    assert body["detail"]
    return body


async def sample(client: httpx.AsyncClient, name: str) -> float:
    """Return the value of one sample of /metrics; 0 if it was never counted."""
    text = (await client.get("/metrics")).text
    match = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(match[1]) if match else 0.0


@dataclass
class FakeTexts:
    """Chooses `best` (an index) with `confidence`, and writes `pieces`.

    Each step waits for `gate` and raises `error`, if set.

    A question with the text `broken` fails with `failure`, and so does every text after `fails_after` pieces. `read`
    has the prompts that were read, `forced` the forced text, and `decoded` counts the requested pieces. `clock` is the
    clock of the texts.
    """

    best: int = 1
    confidence: float = 0.7
    pieces: Sequence[str] = ("Because ", "so.", '"')
    error: Exception | None = None
    broken: str | None = None
    fails_after: int | None = None
    failure: Exception = field(default_factory=lambda: RuntimeError("inner detail"))
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    read: list[Prompt] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)
    decoded: int = 0
    open_texts: int = 0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.gate.set()

    def text(self, prompt: Prompt) -> "FakeText":
        return FakeText(self, prompt)

    async def encode(self, prompt: Prompt, *, room: int) -> "FakePrompt":
        return FakePrompt(self, prompt)

    def labels(self, count: int) -> list[str]:
        return list(ascii_uppercase[:count])

    def shared_size(self, size: int, count: int) -> int:
        return size * count

    @contextmanager
    def keep_openings(self, prompts: Iterable[Prompt], share: Share) -> Iterator[None]:
        yield

    async def encode_shared(self, prompts: Sequence[Prompt]) -> "FakeSharedPrompts":
        return FakeSharedPrompts(self, prompts)

    async def step(self) -> None:
        async with asyncio.timeout(10):
            await self.gate.wait()
        if self.error:
            raise self.error


@dataclass(frozen=True)
class FakePrompt:
    """A prompt of FakeTexts."""

    texts: FakeTexts
    prompt: Prompt
    size: int = 30
    opening_size: int = 0

    @contextmanager
    def open(self, share: Share) -> Iterator["FakeText"]:
        self.texts.open_texts += 1
        try:
            yield self.texts.text(self.prompt)
        finally:
            self.texts.open_texts -= 1


@dataclass(frozen=True)
class FakeSharedPrompts:
    """Prompts of FakeTexts; their stem has 25 tokens, of which 20 are cached."""

    texts: FakeTexts
    prompts: Sequence[Prompt]
    size: int = 30
    opening_size: int = 0

    @contextmanager
    def open(self, share: Share) -> Iterator["FakeSharedTexts"]:
        self.texts.open_texts += 1
        try:
            yield FakeSharedTexts([self.texts.text(prompt) for prompt in self.prompts])
        finally:
            self.texts.open_texts -= 1


@dataclass
class FakeSharedTexts:
    """Texts of FakeTexts that share a stem."""

    texts: Sequence["FakeText"]
    scored: int = 0
    stem: Tokens = field(default_factory=lambda: Tokens(prompt=25, cached=20))

    @property
    def started_at(self) -> float | None:
        return min((text.started_at for text in self.texts if text.started_at is not None), default=None)

    @property
    def tokens(self) -> Tokens:
        return Tokens(prompt=30 * self.scored, cached=25 * self.scored - 5)

    async def read_stem(self) -> None:
        """Read nothing."""

    async def score_labels(self, index: int, labels: Sequence[str]) -> list[float]:
        self.scored += 1
        return await self.texts[index].score_labels(labels)


class FakeText:
    """One text of FakeTexts."""

    def __init__(self, texts: FakeTexts, prompt: Prompt) -> None:
        self.tokens = Tokens(prompt=30, cached=20)
        self.started_at: float | None = None
        self._texts = texts
        self._prompt = prompt

    async def score_labels(self, labels: Sequence[str]) -> list[float]:
        """Return the confidence for the letter of the best choice, wherever the prompt has it."""
        self._begin()
        if self._texts.broken and self._texts.broken in self._prompt.stem:
            raise self._texts.failure
        await self._texts.step()
        best, confidence = self._texts.best, self._texts.confidence
        rest = (1 - confidence) / (len(labels) - 1)
        return [math.log(confidence if index == best else rest) for index in range(len(labels))]

    async def score_labels_and_mass(self, labels: Sequence[str]) -> tuple[list[float], float]:
        return await self.score_labels(labels), 0.9

    def force(self, text: str) -> None:
        self._texts.forced.append(text)

    async def write(self, line: Line, *, limit: int) -> AsyncIterator[str]:
        self._begin()
        for number, piece in enumerate(self._texts.pieces):
            if number == limit or line.closed:
                return
            if number == self._texts.fails_after:
                raise self._texts.failure
            await self._texts.step()
            self._texts.decoded += 1
            self.tokens.completion += 1
            yield line.feed(piece)

    def _begin(self) -> None:
        if self.started_at is None:
            self.started_at = self._texts.clock()
            self._texts.read.append(self._prompt)


async def _nothing() -> None:
    """Stop nothing."""


@dataclass
class Replica:
    """One replica in this process; `load` makes it ready."""

    texts: Any = field(default_factory=FakeTexts)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=lambda: Tracing({}))
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    alive: bool = True

    def __post_init__(self) -> None:
        self.tracing.provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.app = app.build(self.lifecycle, metrics=self.metrics, tracing=self.tracing)

    def load(
        self,
        *,
        max_queued: int = 8,
        max_queued_tokens: int = 10_000,
        max_active: int = 2,
        deadline_seconds: float = 30,
        min_confidence: float = 0,
        debias: Debias = "none",
        calibration: Calibration | None = None,
        chat_template: ChatTemplate | None = None,
        escalation: Escalation | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Become ready; call it inside the event loop."""
        limits = Limits(
            queued_requests=max_queued,
            queued_tokens=max_queued_tokens,
            active_tokens=10_000,
            writers=max_active,
            deadline_seconds=deadline_seconds,
        )
        self.admission = Admission(limits)
        self.mcq = MCQService(
            self.texts,
            self.admission,
            model="fake/model",
            defaults=AnswerOptions(
                mode="explain",
                max_reasoning_tokens=8,
                min_confidence=min_confidence,
                debias=debias,
            ),
            calibration=calibration or Calibration(),
            metrics=self.metrics,
            tracing=self.tracing,
            escalation=escalation,
            clock=clock,
        )
        self.metrics.watch_queue(lambda: self.admission.queued)
        generation = None
        if isinstance(self.texts, LocalTextEngine):
            generation = Generation(
                self.texts,
                self.admission,
                model="fake/model",
                chat_template=chat_template or ChatTemplate(),
                grammars=JSONGrammars(self.texts.tokenizer),
                metrics=self.metrics,
                tracing=self.tracing,
            )
        typed_questions = TypedQuestions(
            self.texts,
            self.admission,
            model="fake/model",
            debias=debias,
            calibration=calibration or Calibration(),
            metrics=self.metrics,
            tracing=self.tracing,
        )
        self.lifecycle.set_ready(
            Backend(
                identity=IDENTITY,
                mcq=self.mcq,
                typed_questions=typed_questions,
                generation=generation,
                admission=self.admission,
                selftest=SelfTest(self.mcq),
                engine="fake",
                forms=CHATML,
                alive=lambda: self.alive,
                stop=_nothing,
            )
        )

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://replica")

    def close(self) -> None:
        self.tracing.shutdown()
