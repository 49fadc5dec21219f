"""Open texts on a local engine, alone or from a stem that several prompts share."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcq_service.engine import PromptTooLong, Share, Tokens
from mcq_service.prompts import in_prompt_thread
from mcq_service.scheduler.local_text import LocalText
from mcq_service.scheduler.step_budget import STEP_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mcq_service.engine import Tokenizer
    from mcq_service.prompts import Opening, Prompt
    from mcq_service.scheduler.scheduler import Scheduler

# The texts of one question may have this many open at once: enough to fill every step.
_SCORED_TOKENS = 2 * STEP_TOKENS


class LocalTextEngine:
    """Opens texts on the scheduler's engine. See TextEngine."""

    def __init__(self, scheduler: Scheduler, tokenizer: Tokenizer) -> None:
        """Use the tokenizer of the engine's model."""
        self.scheduler = scheduler
        self.tokenizer = tokenizer
        self._kept: dict[Opening, _KeptOpening] = {}

    async def encode(self, prompt: Prompt, *, room: int) -> LocalPrompt:
        """See TextEngine."""
        opening, tokens = await in_prompt_thread(self._encode, prompt)
        self.check_fits(len(tokens), room)
        return LocalPrompt(self, tokens, room, prompt.opening, opening)

    @contextmanager
    def keep_openings(self, prompts: Iterable[Prompt], share: Share) -> Iterator[None]:
        """See TextEngine. An opening is read when the first text needs it."""
        openings = {prompt.opening for prompt in prompts if prompt.opening}
        for opening in openings:
            self._kept.setdefault(opening, _KeptOpening(share)).users += 1
        try:
            yield
        finally:
            for opening in openings:
                kept = self._kept[opening]
                kept.users -= 1
                if not kept.users:
                    del self._kept[opening]
                    if kept.text is not None:
                        self.scheduler.close(kept.text)

    def opening_text(self, opening: Opening | None, tokens: list[int]) -> LocalText | None:
        """Return the text of an opening, which has these tokens; None if no prompt keeps the opening."""
        kept = self._kept.get(opening) if opening else None
        if kept is None:
            return None
        if kept.text is None:
            kept.text = LocalText(self.scheduler, self.tokenizer, tokens, room=0, share=kept.share)
        return kept.text

    def check_fits(self, size: int, room: int) -> None:
        """Raise PromptTooLong if `size` tokens and `room` more exceed the context."""
        limit = self.scheduler.engine.context_length
        if size + room > limit:
            raise PromptTooLong(
                f"The prompt has {size} tokens and the answer may take {room}; together they must not be "
                f"more than {limit}."
            )

    @contextmanager
    def open_tokens(
        self, tokens: list[int], *, room: int, share: Share | None = None, parent: LocalText | None = None,
        bypass_prefix_cache: bool = False,
    ) -> Iterator[LocalText]:  # fmt: skip
        """Open a text of tokens and close it at the end; see LocalText. Raises PromptTooLong."""
        self.check_fits(len(tokens), room)
        share = share or Share()
        text = LocalText(
            self.scheduler, self.tokenizer, tokens, room=room, share=share, parent=parent,
            bypass_prefix_cache=bypass_prefix_cache,
        )  # fmt: skip
        try:
            yield text
        finally:
            self.scheduler.close(text)

    def labels(self, count: int) -> list[str]:
        """See TextEngine."""
        return self.tokenizer.labels(count)

    async def encode_shared(self, prompts: Sequence[Prompt]) -> LocalSharedPrompts:
        """See TextEngine."""
        opening, stem, rests = await in_prompt_thread(self._encode_parts, prompts)
        self.check_fits(len(stem) + max(map(len, rests)), 0)
        return LocalSharedPrompts(self, stem, rests, prompts[0].opening, opening)

    def shared_size(self, size: int, count: int) -> int:
        """See TextEngine. The stem and each rest are smaller than a prompt."""
        return size + min(count, _concurrent_texts(size)) * size

    def _encode(self, prompt: Prompt) -> tuple[int, list[int]]:
        """Return the number of tokens up to the end of the opening, 0 without one, and all tokens."""
        tokens = self.tokenizer.encode_prompt(prompt)
        return (len(self.tokenizer.encode_opening(prompt)) if prompt.opening else 0), tokens

    def _encode_parts(self, prompts: Sequence[Prompt]) -> tuple[int, list[int], list[list[int]]]:
        """Encode the stem that the prompts share, and the rest of each; begin with the size of the opening."""
        first = prompts[0]
        opening = len(self.tokenizer.encode_opening(first)) if first.opening else 0
        return (
            opening,
            self.tokenizer.encode_stem(first),
            [self.tokenizer.encode_rest(each) for each in prompts],
        )


@dataclass
class _KeptOpening:
    """An opening that `users` keep; `text` is None before it is needed."""

    share: Share
    users: int = 0
    text: LocalText | None = None


@dataclass(frozen=True)
class LocalPrompt:
    """A prompt's tokens; the first `opening_size` are those up to the end of its opening. See EncodedPrompt."""

    texts: LocalTextEngine
    tokens: list[int]
    room: int
    opening: Opening | None
    opening_size: int

    @property
    def size(self) -> int:
        """See EncodedPrompt."""
        return len(self.tokens)

    def open(self, share: Share) -> AbstractContextManager[LocalText]:
        """See EncodedPrompt."""
        parent = self.texts.opening_text(self.opening, self.tokens[: self.opening_size])
        return self.texts.open_tokens(self.tokens, room=self.room, share=share, parent=parent)


@dataclass(frozen=True)
class LocalSharedPrompts:
    """The tokens of a stem, and of what follows it in each prompt. See SharedPrompts."""

    texts: LocalTextEngine
    stem: list[int]
    rests: list[list[int]]
    opening: Opening | None
    opening_size: int

    @property
    def size(self) -> int:
        """See SharedPrompts."""
        return len(self.stem) + self.concurrent * self.longest

    @property
    def longest(self) -> int:
        """The number of tokens of the longest rest."""
        return max(map(len, self.rests))

    @property
    def concurrent(self) -> int:
        """The number of texts to score at once."""
        return min(len(self.rests), _concurrent_texts(self.longest))

    @contextmanager
    def open(self, share: Share) -> Iterator[LocalSharedTexts]:
        """See SharedPrompts."""
        parent = self.texts.opening_text(self.opening, self.stem[: self.opening_size])
        with self.texts.open_tokens(self.stem, room=0, share=share, parent=parent) as stem:
            yield LocalSharedTexts(self, stem)


class LocalSharedTexts:
    """Texts that fork from one that has read their stem; a few at a time are open. See SharedTexts."""

    def __init__(self, prompts: LocalSharedPrompts, stem: LocalText) -> None:
        """Fork from `stem`."""
        self._prompts = prompts
        self._stem = stem
        self._limiter = asyncio.Semaphore(prompts.concurrent)
        self._total, self._computed = 0, 0

    @property
    def started_at(self) -> float | None:
        """See SharedTexts."""
        return self._stem.started_at

    @property
    def stem(self) -> Tokens:
        """See SharedTexts."""
        return self._stem.tokens

    @property
    def tokens(self) -> Tokens:
        """See SharedTexts."""
        computed = self._computed + self.stem.prompt - self.stem.cached
        return Tokens(prompt=self._total, cached=self._total - computed)

    async def read_stem(self) -> None:
        """See SharedTexts."""
        await self._stem.read()

    async def score_labels(self, index: int, labels: Sequence[str]) -> list[float]:
        """See SharedTexts."""
        texts, rest = self._prompts.texts, self._prompts.rests[index]
        tokens = [*self._prompts.stem, *rest]
        async with self._limiter:
            with texts.open_tokens(tokens, room=0, share=self._stem.share, parent=self._stem) as text:
                scores = await text.score_labels(labels)
        self._total += len(tokens)
        self._computed += len(rest)
        return scores


def _concurrent_texts(size: int) -> int:
    """Return how many texts of this size to score at once."""
    return max(2, _SCORED_TOKENS // max(1, size))
