"""Drafts from a text's own tokens: fewer steps, and the same text."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.service.fakes import until
from tests.service.scheduler.test_scheduler import LetterTokenizer, written
from tests.service.scripted import END, ScriptedEngine

from mcq_service.scheduler import LocalTextEngine, Scheduler
from mcq_service.scheduler.prompt_lookup import MAX_DRAFT, PromptLookup
from mcq_service.scheduler.sampler import Sampler, ScoredToken
from mcq_service.yaml_output import Line


@contextmanager
def texts_on(engine: ScriptedEngine) -> Iterator[LocalTextEngine]:
    scheduler = Scheduler(engine, clock=engine.clock)
    try:
        yield LocalTextEngine(scheduler, LetterTokenizer())
    finally:
        scheduler.stop()


@given(tokens=st.lists(st.integers(0, 3), min_size=1, max_size=30), limit=st.integers(0, 4))
def test_a_draft_is_what_followed_the_same_one_or_two_tokens_before(tokens: list[int], limit: int) -> None:
    """The latest place counts, and two equal tokens before one."""
    lookup = PromptLookup(tokens[:1])
    for token in tokens[1:]:
        lookup.draft(1)
        lookup.append([token])
    following = [
        place
        for size in (2, 1)
        for place in range(len(tokens) - 1, size - 1, -1)
        if len(tokens) >= size and tokens[place - size : place] == tokens[-size:]
    ]
    assert lookup.draft(limit) == (tokens[following[0] :][:limit] if following else [])


async def test_a_step_reads_the_draft_and_forgets_what_the_model_would_not_write() -> None:
    """The model writes the next letter; after A came BXY before."""
    engine = ScriptedEngine(cheap_tokens=4)
    with texts_on(engine) as texts, texts.open_tokens([1, 2, 24, 25], room=8) as text:
        await text.score_labels(["A"])
        text.force("A")
        assert await written(text, 4) == "BCDE"
        assert text.tokens.completion == 4
        assert text.sequence.tokens == [1, 2, 24, 25, 1, 2, 3, 4]
    assert engine.steps == [[[1, 2, 24, 25]], [[1, 2, 24, 25]], [[3]], [[4]]]


class ToE(Line):
    """Ends at an E, and keeps the letter before it as an X."""

    def feed(self, piece: str) -> str:
        self.closed = piece == "E"
        return "X" if self.closed else piece


@given(
    prompt=st.lists(st.integers(1, 7), min_size=1, max_size=12),
    limit=st.integers(1, 9),
    cheap=st.integers(2, 9),
    script=st.lists(st.integers(1, 7), max_size=8),
)
async def test_drafts_change_no_text(prompt: list[int], limit: int, cheap: int, script: list[int]) -> None:
    """The model's text, the tokens read and the count are those without drafts, also where a line ends in a draft."""

    async def run(cheap_tokens: int) -> tuple[str, list[int], list[int], int, list[int], bool]:
        engine = ScriptedEngine(cheap_tokens=cheap_tokens, script=script)
        with texts_on(engine) as texts:
            with texts.open_tokens(list(prompt), room=20) as text:
                pieces = "".join([piece async for piece in text.write(ToE(), limit=limit)])
                pending = list(text.pending)
                text.force("C")
                await text.read()
                read = list(text.sequence.tokens)
            sampled: list[int] = []

            def ends(token: ScoredToken) -> bool:
                sampled.append(token.token)
                return token.token == 5

            with texts.open_tokens(list(prompt), room=20) as text:
                ended = await text.sample(
                    limit=limit, sampler=Sampler(temperature=0, top_p=1, seed=None), top=None, on_prompt=None,
                    on_token=ends,
                )  # fmt: skip
                count = text.tokens.completion
        return pieces, pending, read, count, sampled, ended

    assert await run(cheap) == await run(1)


async def test_the_text_ends_in_the_middle_of_a_draft() -> None:
    """The rest of the draft is not written, and the stop token counts."""
    engine = ScriptedEngine(cheap_tokens=4, script=[3])
    with texts_on(engine) as texts, texts.open_tokens([2, 3, END, 7, 9], room=9) as text:
        await text.read()
        text.force("B")
        assert await written(text, 9) == "C"
        assert text.tokens.completion == 2
        await until(lambda: text.sequence.tokens == [2, 3, END, 7, 9, 2, 3])
    assert engine.steps == [[[2, 3, END, 7, 9]], [[2, 3, END, 7]]]


@pytest.mark.parametrize(("writers", "draft"), [(1, 3), (2, 3), (3, 1), (4, 1), (5, 0)])
async def test_many_texts_at_once_draft_less(writers: int, draft: int) -> None:
    """A step of more than the cheap tokens would take longer."""
    engine = ScriptedEngine(cheap_tokens=8)
    with texts_on(engine) as texts, ExitStack() as stack:
        open_ = [stack.enter_context(texts.open_tokens([1, 2, 3, 4, 5], room=9)) for _ in range(writers)]
        for text in open_:
            await text.read()
            text.force("A")
        engine.gate.clear()
        writing = [asyncio.create_task(written(text, 8)) for text in open_]
        await asyncio.sleep(0.05)  # the first step is waiting with the first text
        engine.gate.set()
        assert await asyncio.gather(*writing) == ["BCDEFGHI"] * writers
    assert MAX_DRAFT == 3
    together = next(step for step in engine.steps[writers:] if len(step) == writers)
    assert {len(tokens) for tokens in together} == {1 + draft}
