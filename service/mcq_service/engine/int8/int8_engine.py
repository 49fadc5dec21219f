"""The engine for CPUs: int8 weights and activations; the tokens of all sequences share one pass over the weights.

A sequence's results are the same to the bit, whatever else is in a step, however its tokens are split into steps, and
whatever prefix it shares.
"""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from mcq_service.engine.errors import Int8Unavailable
from mcq_service.engine.int8 import native
from mcq_service.engine.local_engine import BatchItem, Logits, Output, longest_prefix
from mcq_service.model_store import int8_layout

if TYPE_CHECKING:
    from collections.abc import Sequence as Items
    from pathlib import Path

    from numpy.typing import NDArray

    from mcq_service.model_store import InstructionSet


# Measured: docs/benchmarks.md; ARM was not. With AVX2, 8 tokens take half as long again as one.
_CHEAP_TOKENS = 8
_FEWER_CHEAP_TOKENS = {"avx2": 4, "neon_i8mm": 4, "neon_dotprod": 4}


class Int8Sequence:
    """The keys and values of one text: its own tokens follow those of the sequences it was forked from."""

    def __init__(self, handle: int, *, length: int, limit: int) -> None:
        """Wrap a native handle; `length` of at most `limit` tokens have been read."""
        self.handle: int | None = handle
        self.length = length
        self.limit = limit


class Int8Engine:
    """One packed model in a prepared directory."""

    def __init__(
        self, path: Path, *, context_length: int, threads: int, instructions: InstructionSet | None = None
    ) -> None:
        """Map the model in `path`; processes on one machine share its pages.

        `context_length` is in tokens. `instructions` forces one of INSTRUCTION_SETS. Raises Int8Unavailable
        if this machine lacks it, and ModelDamaged or UnsupportedArchitecture for files that native code can't read
        safely.
        """
        supported = native.instruction_set(instructions or "")
        if supported is None:
            raise Int8Unavailable(
                f"The int8 engine can't run here: it needs a CPU with {instructions or 'avx2 or neon_dotprod'}, and "
                "the native library built with the package. Use the precision float32 or bfloat16."
            )
        self.name = f"cpu (int8, {supported})"
        self.cheap_tokens = _FEWER_CHEAP_TOKENS.get(supported, _CHEAP_TOKENS)
        self._shape = int8_layout.shape_of(path)
        self.context_length = min(context_length, self._shape.context)
        self._library: Any = native.library()
        self._buffers: list[Any] = []  # native code points into these
        weights = self._weights(self._map(path / int8_layout.FILE))
        self._engine = self._library.mcq_open(self._native_shape(), weights, threads, supported.encode())
        if not self._engine:
            raise MemoryError("There is no memory for the int8 engine's buffers.")
        self._prefixes: list[tuple[list[int], Int8Sequence]] = []

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values in open sequences and cached prefixes."""
        return int(self._library.mcq_cache_bytes(self._engine))

    def cache_prefix(self, tokens: Items[int]) -> None:
        """See Engine."""
        sequence = self.open(tokens, room=0)
        self.step([BatchItem(sequence, tokens[sequence.length :])])
        self._prefixes.append((list(tokens), sequence))

    def open(self, tokens: Items[int], *, room: int) -> Int8Sequence:
        """See Engine."""
        longest = longest_prefix(self._prefixes, tokens)
        return self._open(longest, len(tokens) + room - (longest.length if longest else 0))

    def fork(self, sequence: Int8Sequence, *, room: int) -> Int8Sequence:
        """See Engine."""
        return self._open(sequence, room)

    def close(self, sequence: Int8Sequence) -> None:
        """See Engine."""
        if sequence.handle is not None:
            self._library.mcq_sequence_close(self._engine, sequence.handle)
            sequence.handle = None

    def forget(self, sequence: Int8Sequence, count: int) -> None:
        """See Engine."""
        self._library.mcq_sequence_forget(sequence.handle, count)
        sequence.length -= count

    def step(self, items: Items[BatchItem[Int8Sequence]]) -> list[Output]:
        """See Engine."""
        native_items = [_NativeItem(item, self._shape.vocabulary) for item in items]
        array = (native.BatchItem * len(native_items))(*(each.native for each in native_items))
        error = self._library.mcq_step(self._engine, array, len(native_items))
        if error == native.NO_MEMORY:
            raise MemoryError("There is no memory for this step's tokens.")
        if error:
            raise ValueError(native.ERRORS[error])
        for item in items:
            item.sequence.length += len(item.tokens)
        return [each.output() for each in native_items]

    def products(self, rows: int, *, outputs: int = 0) -> None:
        """Multiply `rows` made-up tokens with all layers, and `outputs` of them with the output matrix.

        This is the lower bound of a step's time.
        """
        self._library.mcq_products(self._engine, rows, outputs)

    def shut_down(self) -> None:
        """Free threads and memory; the engine and its sequences can't be used afterwards."""
        for _, sequence in self._prefixes:
            self.close(sequence)
        self._library.mcq_close(self._engine)

    def _open(self, parent: Int8Sequence | None, room: int) -> Int8Sequence:
        length = parent.length if parent else 0
        handle = self._library.mcq_sequence_open(self._engine, parent.handle if parent else None, room)
        if not handle:
            raise MemoryError(f"There is no memory for the keys and values of {room} tokens.")
        return Int8Sequence(handle, length=length, limit=length + room)

    def _map(self, file: Path) -> dict[str, int]:
        """Map the packed file; return the address of each tensor."""
        try:
            with file.open("rb") as opened:
                mapped = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:  # it is missing or empty
            raise int8_layout.damaged(file, str(error)) from error
        offsets = int8_layout.offsets(memoryview(mapped), self._shape, file)
        data = np.frombuffer(mapped, dtype=np.uint8)
        native.read_pages(data)
        self._buffers.append(data)
        return {name: native.pointer(data) + offset for name, offset in offsets.items()}

    def _native_shape(self) -> native.Shape:
        shape = self._shape
        return native.Shape(
            layers=shape.layers,
            hidden=shape.hidden,
            inner=shape.inner,
            vocabulary=shape.vocabulary,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head=shape.head,
            padded_hidden=int8_layout.padded(shape.hidden),
            padded_inner=int8_layout.padded(shape.inner),
            padded_head=shape.padded_head,
            padded_vocabulary=int8_layout.padded(shape.vocabulary),
            padded_qkv=shape.padded_qkv,
            padded_attention=shape.padded_attention,
            context=self.context_length,
            epsilon=shape.epsilon,
            score_scale=1 / math.sqrt(shape.head),
        )

    def _weights(self, tensors: dict[str, int]) -> native.Weights:
        def matrix(name: str) -> native.Matrix:
            return native.Matrix(tensors[f"{name}.panels"], tensors[f"{name}.scales"])

        layers = (native.Layer * self._shape.layers)(
            *(
                native.Layer(
                    tensors[f"layers.{index}.attention_norm"],
                    matrix(f"layers.{index}.qkv"),
                    tensors[f"layers.{index}.qkv.bias"],
                    tensors.get(f"layers.{index}.query_norm"),
                    tensors.get(f"layers.{index}.key_norm"),
                    matrix(f"layers.{index}.attention_output"),
                    tensors[f"layers.{index}.mlp_norm"],
                    matrix(f"layers.{index}.gate_up"),
                    matrix(f"layers.{index}.down"),
                )
                for index in range(self._shape.layers)
            )
        )
        embedding = matrix("embedding")
        cosines, sines = rope_tables(self._shape, self.context_length)
        self._buffers += [layers, cosines, sines]
        return native.Weights(
            layers,
            embedding,
            embedding if self._shape.tied else matrix("output"),
            tensors["norm"],
            native.pointer(cosines),
            native.pointer(sines),
        )


class _NativeItem:
    """A batch item in native form, with the arrays for its outputs."""

    def __init__(self, item: BatchItem[Int8Sequence], vocabulary: int) -> None:
        every = item.logits is Logits.EVERY
        self._tokens = np.asarray(item.tokens, dtype=np.int32)
        self._score = np.asarray(item.score, dtype=np.int32)
        self._scores = np.empty(len(item.score), dtype=np.float32)
        self._greedy = np.empty(item.greedy, dtype=np.int32)
        self._logits: NDArray[np.float32] | None = None
        if item.logits is not Logits.NONE:
            self._logits = np.empty((len(item.tokens) if every else 1, vocabulary), dtype=np.float32)
        self.native = native.BatchItem(
            sequence=item.sequence.handle,
            tokens=native.pointer(self._tokens),
            count=len(self._tokens),
            scored=len(self._score),
            score=native.pointer(self._score),
            scores=native.pointer(self._scores),
            greedy=native.pointer(self._greedy),
            logits=None if self._logits is None else native.pointer(self._logits),
            every=every,
            greedy_count=item.greedy,
        )

    def output(self) -> Output:
        """Return the outputs, after the step."""
        return Output(
            scores=self._scores.tolist(),
            greedy=self._greedy.tolist(),
            logits=self._logits,
        )


def rope_tables(shape: int8_layout.Shape, context: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rotary embedding's cosines and sines by position, (context, head / 2) each."""
    exponents = np.arange(0, shape.head, 2, dtype=np.float32) / np.float32(shape.head)
    frequencies = _scaled((1.0 / np.float32(shape.rope_theta) ** exponents), shape.rope_scaling)
    angles = np.arange(context, dtype=np.float32)[:, None] * frequencies.astype(np.float32)
    return np.cos(angles), np.sin(angles)


def _scaled(frequencies: NDArray[np.float32], scaling: int8_layout.RopeScaling | None) -> NDArray[np.float32]:
    """Return the angles by which a position differs from the next; see RopeScaling."""
    if scaling is None:
        return frequencies
    factor = np.float32(scaling.factor)
    if scaling.type == "linear":
        return frequencies / factor
    rotations = scaling.original * frequencies / (2 * np.pi)  # within the original context
    span = scaling.high_frequency - scaling.low_frequency
    # 0 for slow rotations, which are scaled; 1 for fast ones, which are not
    fast: NDArray[np.float32] = np.clip((rotations - scaling.low_frequency) / span, 0, 1)
    return frequencies * (fast + (1 - fast) / factor)
