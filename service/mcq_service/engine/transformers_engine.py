"""The engine on transformers and torch: the reference for correct results, and the engine for GPUs.

It reads the items of a step one after the other: transformers would pad them to the longest.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils import logging

from mcq_service.engine.local_engine import BatchItem, Logits, Output, longest_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Sequence as Items
    from pathlib import Path


class TransformersSequence:
    """The keys and values of one text."""

    def __init__(self, cache: DynamicCache, *, length: int) -> None:
        """Wrap a cache that holds the first `length` tokens."""
        self.cache: DynamicCache | None = cache
        self.length = length


class TransformersEngine:
    """One causal language model in a prepared directory."""

    def __init__(self, path: Path, *, context_length: int, threads: int) -> None:
        """Load the model in `path`, memory-mapped, so that processes on one machine share its pages.

        `context_length` is in tokens. `threads` sets torch's threads for the whole process.
        """
        torch.set_num_threads(threads)
        logging.disable_progress_bar()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype="auto", local_files_only=True, attn_implementation="sdpa"
        )
        self._model.to(self._device).eval()
        self.name = f"transformers ({str(self._model.dtype).removeprefix('torch.')}, {self._device.type})"
        self.cheap_tokens = 1
        self.context_length = min(context_length, self._model.config.max_position_embeddings)
        self._prefixes: list[tuple[list[int], TransformersSequence]] = []

    def cache_prefix(self, tokens: Items[int]) -> None:
        """See Engine."""
        sequence = self._empty()
        self._read(BatchItem(sequence, tokens))
        self._prefixes.append((list(tokens), sequence))

    def open(self, tokens: Items[int], *, room: int) -> TransformersSequence:
        """See Engine."""
        longest = longest_prefix(self._prefixes, tokens)
        return self._empty() if longest is None else self.fork(longest, room=room)

    def fork(self, sequence: TransformersSequence, *, room: int) -> TransformersSequence:
        """See Engine."""
        with _memory_errors():
            return TransformersSequence(copy.deepcopy(sequence.cache), length=sequence.length)

    def close(self, sequence: TransformersSequence) -> None:
        """See Engine."""
        sequence.cache = None

    def forget(self, sequence: TransformersSequence, count: int) -> None:
        """See Engine."""
        _truncate(sequence, sequence.length - count)

    def step(self, items: Items[BatchItem[TransformersSequence]]) -> list[Output]:
        """See Engine."""
        lengths = [item.sequence.length for item in items]
        try:
            with _memory_errors():
                return [self._read(item) for item in items]
        except Exception:
            for item, length in zip(items, lengths, strict=True):
                _truncate(item.sequence, length)
            raise

    def _empty(self) -> TransformersSequence:
        return TransformersSequence(DynamicCache(config=self._model.config), length=0)

    @torch.inference_mode()
    def _read(self, item: BatchItem[TransformersSequence]) -> Output:
        ids = torch.tensor([list(item.tokens)], device=self._device)
        every = item.logits is Logits.EVERY
        # Multiply only the needed positions with the output matrix.
        output = self._model(
            input_ids=ids,
            past_key_values=item.sequence.cache,
            use_cache=True,
            logits_to_keep=0 if every else max(1, item.greedy),
        )
        item.sequence.length += len(item.tokens)
        logits = output.logits[0].float()
        last = logits[-1]
        return Output(
            scores=last[list(item.score)].tolist() if item.score else (),
            greedy=logits[-item.greedy :].argmax(dim=-1).tolist() if item.greedy else (),
            logits=None if item.logits is Logits.NONE else (logits if every else logits[-1:]).cpu().numpy(),
        )


def _truncate(sequence: TransformersSequence, length: int) -> None:
    """Drop the tokens after `length`: a failed step has filled some of the layers."""
    sequence.length = length
    for layer in sequence.cache.layers if sequence.cache else []:
        if (read := layer.get_seq_length()) > length:
            layer.crop(length - read)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn torch's out-of-memory errors into MemoryError; on a CPU only the message of a RuntimeError shows them."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise MemoryError("There is no memory for this step's tokens.") from None
        raise
