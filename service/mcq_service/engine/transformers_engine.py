"""The engine on transformers and torch: the reference for what is right, and what a GPU runs.

The feeds of a step are read one after the other: transformers would pad them to the longest.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils import logging

from mcq_service.engine.base import Feed, Logits, Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Sequence as Items
    from pathlib import Path


class TransformersSequence:
    """A text's tokens as keys and values."""

    def __init__(self, cache: DynamicCache, *, length: int) -> None:
        """`cache` holds the first `length` tokens."""
        self.cache: DynamicCache | None = cache
        self.length = length


class TransformersEngine:
    """One causal language model in a prepared directory."""

    def __init__(self, path: Path, *, context_length: int, threads: int) -> None:
        """Load the model in `path`.

        The weights are memory-mapped, so that processes on one machine share their pages. `context_length` is in
        tokens, `threads` those of torch, which are the process's.
        """
        torch.set_num_threads(threads)
        logging.disable_progress_bar()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype="auto", local_files_only=True, attn_implementation="sdpa"
        )
        self._model.to(self._device).eval()
        self.name = f"transformers ({str(self._model.dtype).removeprefix('torch.')}, {self._device.type})"
        self.context_length = min(context_length, self._model.config.max_position_embeddings)
        self._shared: list[tuple[list[int], TransformersSequence]] = []

    def share(self, tokens: Items[int]) -> None:
        """See Engine."""
        sequence = self._empty()
        self._read(Feed(sequence, tokens))
        self._shared.append((list(tokens), sequence))

    def open(self, tokens: Items[int], *, room: int) -> TransformersSequence:
        """See Engine."""
        found = [
            each
            for prefix, each in self._shared
            if each.length < len(tokens) and tokens[: each.length] == prefix
        ]
        longest = max(found, key=lambda each: each.length, default=None)
        return self._empty() if longest is None else self.fork(longest, room=room)

    def fork(self, sequence: TransformersSequence, *, room: int) -> TransformersSequence:
        """See Engine."""
        with _memory_errors():
            return TransformersSequence(copy.deepcopy(sequence.cache), length=sequence.length)

    def close(self, sequence: TransformersSequence) -> None:
        """See Engine."""
        sequence.cache = None

    def step(self, feeds: Items[Feed[TransformersSequence]]) -> list[Output]:
        """See Engine."""
        lengths = [feed.sequence.length for feed in feeds]
        try:
            with _memory_errors():
                return [self._read(feed) for feed in feeds]
        except Exception:
            for feed, length in zip(feeds, lengths, strict=True):
                _rewind(feed.sequence, length)
            raise

    def _empty(self) -> TransformersSequence:
        return TransformersSequence(DynamicCache(config=self._model.config), length=0)

    @torch.inference_mode()
    def _read(self, feed: Feed[TransformersSequence]) -> Output:
        ids = torch.tensor([list(feed.tokens)], device=self._device)
        every = feed.logits is Logits.EVERY
        # Only the positions asked for meet the output matrix.
        output = self._model(
            input_ids=ids,
            past_key_values=feed.sequence.cache,
            use_cache=True,
            logits_to_keep=0 if every else 1,
        )
        feed.sequence.length += len(feed.tokens)
        logits = output.logits[0].float()
        last = logits[-1]
        return Output(
            scores=last[list(feed.score)].tolist() if feed.score else (),
            token=int(last.argmax()) if feed.greedy else None,
            logits=None if feed.logits is Logits.NONE else logits.cpu().numpy(),
        )


def _rewind(sequence: TransformersSequence, length: int) -> None:
    """Forget what was read since; a step that failed has filled some of the layers."""
    sequence.length = length
    for layer in sequence.cache.layers if sequence.cache else []:
        if (read := layer.get_seq_length()) > length:
            layer.crop(length - read)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise MemoryError for torch's errors: on a CPU a plain RuntimeError, which only its words tell from others."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise MemoryError("There is no memory for this step's tokens.") from None
        raise
