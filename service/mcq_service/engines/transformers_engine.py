"""The engine on transformers and torch: one prefill a question on top of a shared prefix, greedy decoding."""

from __future__ import annotations

import copy
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig
from transformers.utils import logging

from mcq_service.engines.engine import PromptTooLong

if TYPE_CHECKING:
    from collections.abc import Sequence as Items
    from pathlib import Path


class TransformersSequence:
    """A text with the keys and values of its tokens.

    `pending` are tokens that belong to the text but have not been through the model yet; `logits`, of shape
    (vocabulary,), are those after the last token that has.
    """

    def __init__(self, cache: DynamicCache, *, prompt: list[int], cached_tokens: int) -> None:
        """`prompt` is the whole prompt's tokens, of which `cache` holds the first `cached_tokens`."""
        self.cache = cache
        self.pending = prompt[cached_tokens:]
        self.logits: torch.Tensor | None = None
        self.stream = DecodeStream(skip_special_tokens=True)
        self.prompt_tokens = len(prompt)
        self.cached_tokens = cached_tokens
        self.completion_tokens = 0


class TransformersEngine:
    """One causal language model in a prepared directory."""

    def __init__(self, path: Path, *, name: str, prefix: str, context_length: int, threads: int) -> None:
        """Load the model in `path` and read the prompts' constant `prefix` once.

        The weights are memory-mapped, so that processes on one machine share their pages. `context_length` is in
        tokens, `threads` those of torch, which are the process's.
        """
        torch.set_num_threads(threads)
        logging.disable_progress_bar()
        self.name = name
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype="auto", local_files_only=True, attn_implementation="sdpa"
        )
        self._model.to(self._device).eval()
        self._context_length = min(context_length, self._model.config.max_position_embeddings)
        self._trusted, self._untrusted = _tokenizers(path)
        self._stop_ids = _stop_ids(path)
        self._letter_ids = {letter: self._letter_id(letter) for letter in ascii_uppercase}
        self._prefix = self._encode(prefix)
        self._prefix_cache = DynamicCache(config=self._model.config)
        self._forward(self._prefix, self._prefix_cache)

    def start(self, prefix: str, user: str, suffix: str, *, room: int) -> TransformersSequence:
        """See Engine."""
        client = self._untrusted.encode(user, add_special_tokens=False).ids
        tokens = [*self._encode(prefix), *client, *self._encode(suffix)]
        if len(tokens) + room > self._context_length:
            raise PromptTooLong(
                f"The prompt has {len(tokens)} tokens and the answer may take {room}; together they must not be "  # noqa: EM102
                f"more than {self._context_length}."
            )
        shared = tokens[: len(self._prefix)] == self._prefix
        cache = copy.deepcopy(self._prefix_cache) if shared else DynamicCache(config=self._model.config)
        sequence = TransformersSequence(
            cache, prompt=tokens, cached_tokens=len(self._prefix) if shared else 0
        )
        self._advance(sequence)
        return sequence

    def probabilities(self, sequence: TransformersSequence, labels: Items[str]) -> list[float]:
        """See Engine."""
        logits = self._advance(sequence)[[self._letter_ids[label] for label in labels]]
        chances: list[float] = torch.softmax(logits.double(), dim=0).tolist()
        return chances

    def force(self, sequence: TransformersSequence, text: str) -> None:
        """See Engine."""
        sequence.pending += self._encode(text)

    def decode(self, sequence: TransformersSequence) -> str | None:
        """See Engine."""
        token = int(self._advance(sequence).argmax())
        sequence.completion_tokens += 1
        if token in self._stop_ids:
            return None
        sequence.pending.append(token)
        return sequence.stream.step(self._trusted, token) or ""

    def _advance(self, sequence: TransformersSequence) -> torch.Tensor:
        """The logits after the sequence's last token, computed if there are tokens to compute."""
        if sequence.pending:
            sequence.logits = self._forward(sequence.pending, sequence.cache)
            sequence.pending = []
        assert sequence.logits is not None, "a sequence starts with its prompt pending"  # noqa: S101
        return sequence.logits

    @torch.inference_mode()
    def _forward(self, tokens: list[int], cache: DynamicCache) -> torch.Tensor:
        """Run the tokens after what `cache` holds, into it; only the last position meets the output matrix."""
        ids = torch.tensor([tokens], device=self._device)
        output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: torch.Tensor = output.logits[0, -1].float()
        return logits

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._trusted.encode(text, add_special_tokens=False).ids
        return ids

    def _letter_id(self, letter: str) -> int:
        """The token of a letter after `answer:`, where YAML has a space."""
        ids = self._encode(f" {letter}")
        if len(ids) != 1:
            raise ValueError(f"The tokenizer of {self.name} has no single token for the letter {letter}.")  # noqa: EM102
        return ids[0]


def _tokenizers(path: Path) -> tuple[Tokenizer, Tokenizer]:
    """The model's tokenizer twice: for our text, and for a client's, where `<|im_end|>` is but characters."""
    file = str(path / "tokenizer.json")
    trusted, untrusted = Tokenizer.from_file(file), Tokenizer.from_file(file)
    # Not all control tokens are declared special: `<|fim_middle|>` and `<tool_call>` are not.
    untrusted.add_special_tokens([token.content for token in untrusted.get_added_tokens_decoder().values()])
    untrusted.encode_special_tokens = True
    return trusted, untrusted


def _stop_ids(path: Path) -> frozenset[int]:
    """The tokens that end a turn."""
    stop = GenerationConfig.from_pretrained(path, local_files_only=True).eos_token_id
    return frozenset(stop if isinstance(stop, list) else [] if stop is None else [stop])
