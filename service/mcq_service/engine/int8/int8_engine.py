"""The engine for CPUs: int8 weights and activations, all sequences' tokens packed into one pass over the weights.

What it computes for a sequence does not depend on what else is in a step, nor on how its tokens are cut into steps,
nor on what it shares: not by one bit.
"""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from mcq_service.engine.base import Feed, Logits, Output
from mcq_service.engine.int8 import native
from mcq_service.model_store import int8_layout

if TYPE_CHECKING:
    from collections.abc import Sequence as Items
    from pathlib import Path

    from numpy.typing import NDArray


class NativeEngineUnavailable(RuntimeError):  # noqa: N818 - reads as what happened
    """This machine can't run the int8 engine; the precisions float32 and bfloat16 run on transformers."""


class CPUSequence:
    """A text's tokens as keys and values, its own after those of the sequences it was forked from."""

    def __init__(self, handle: int, *, length: int, limit: int) -> None:
        """`handle` is the native one; at most `limit` tokens fit, of which `length` have been read."""
        self.handle: int | None = handle
        self.length = length
        self.limit = limit


class CPUEngine:
    """One packed model in a prepared directory."""

    def __init__(self, path: Path, *, context_length: int, threads: int, instructions: str = "") -> None:
        """Map the model in `path`; processes on one machine share its pages.

        `context_length` is in tokens. `instructions` forces an instruction set: avx512_vnni or avx2. Raises
        NativeEngineUnavailable where this machine lacks it, and ModelDamaged or UnsupportedArchitecture for files that
        native code must not be given.
        """
        found = native.instructions(instructions)
        if found is None:
            raise NativeEngineUnavailable(
                f"The int8 engine can't run here: it needs an x86-64 CPU with {instructions or 'AVX2'} and the "  # noqa: EM102
                "native library built with the package. Use the precision float32 or bfloat16."
            )
        self.name = f"cpu (int8, {found})"
        self._shape = int8_layout.shape_of(path)
        self.context_length = min(context_length, self._shape.context)
        self._library: Any = native.library()
        self._kept: list[Any] = []  # what native code points to
        weights = self._weights(self._map(path / int8_layout.FILE))
        self._engine = self._library.mcq_open(self._native_shape(), weights, threads, found.encode())
        if not self._engine:
            raise MemoryError("There is no memory for the int8 engine's buffers.")
        self._shared: list[tuple[list[int], CPUSequence]] = []

    @property
    def cache_bytes(self) -> int:
        """What open and shared sequences hold of keys and values."""
        return int(self._library.mcq_cache_bytes(self._engine))

    def share(self, tokens: Items[int]) -> None:
        """See Engine."""
        sequence = self.open(tokens, room=0)
        self.step([Feed(sequence, tokens[sequence.length :])])
        self._shared.append((list(tokens), sequence))

    def open(self, tokens: Items[int], *, room: int) -> CPUSequence:
        """See Engine."""
        found = [
            each
            for prefix, each in self._shared
            if each.length < len(tokens) and list(tokens[: each.length]) == prefix
        ]
        longest = max(found, key=lambda each: each.length, default=None)
        return self._opened(longest, len(tokens) + room - (longest.length if longest else 0))

    def fork(self, sequence: CPUSequence, *, room: int) -> CPUSequence:
        """See Engine."""
        return self._opened(sequence, room)

    def close(self, sequence: CPUSequence) -> None:
        """See Engine."""
        if sequence.handle is not None:
            self._library.mcq_sequence_close(self._engine, sequence.handle)
            sequence.handle = None

    def step(self, feeds: Items[Feed[CPUSequence]]) -> list[Output]:
        """See Engine."""
        readings = [_Reading(feed, self._shape.vocabulary) for feed in feeds]
        array = (native.Feed * len(readings))(*(reading.native for reading in readings))
        error = self._library.mcq_step(self._engine, array, len(readings))
        if error == native.NO_MEMORY:
            raise MemoryError("There is no memory for this step's tokens.")
        if error:
            raise ValueError(native.REASONS[error])
        for feed in feeds:
            feed.sequence.length += len(feed.tokens)
        return [reading.output() for reading in readings]

    def products(self, rows: int) -> None:
        """Multiply `rows` made-up tokens with all the layers' matrices: the time that a step can't go below."""
        self._library.mcq_products(self._engine, rows)

    def shut(self) -> None:
        """Give back threads and memory; the engine and its sequences must not be used any more."""
        for _, sequence in self._shared:
            self.close(sequence)
        self._library.mcq_close(self._engine)

    def _opened(self, parent: CPUSequence | None, room: int) -> CPUSequence:
        length = parent.length if parent else 0
        handle = self._library.mcq_sequence_open(self._engine, parent.handle if parent else None, room)
        if not handle:
            raise MemoryError(f"There is no memory for the keys and values of {room} tokens.")  # noqa: EM102
        return CPUSequence(handle, length=length, limit=length + room)

    def _map(self, file: Path) -> dict[str, int]:
        """The packed file in memory: where each of its tensors lies."""
        try:
            with file.open("rb") as opened:
                # Populated: else the first step would wait for each page.
                flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
                mapped = mmap.mmap(opened.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:  # it is not there, or empty
            raise int8_layout.damaged(file, str(error)) from error
        offsets = int8_layout.offsets(memoryview(mapped), self._shape, file)
        data = np.frombuffer(mapped, dtype=np.uint8)
        self._kept.append(data)
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
                    matrix(f"layers.{index}.attention_output"),
                    tensors[f"layers.{index}.mlp_norm"],
                    matrix(f"layers.{index}.gate_up"),
                    matrix(f"layers.{index}.down"),
                )
                for index in range(self._shape.layers)
            )
        )
        embedding = matrix("embedding")
        cosines, sines = _rotations(self._shape, self.context_length)
        self._kept += [layers, cosines, sines]
        return native.Weights(
            layers,
            embedding,
            embedding if self._shape.tied else matrix("output"),
            tensors["norm"],
            native.pointer(cosines),
            native.pointer(sines),
        )


class _Reading:
    """A feed in the native form, and the arrays that its output goes to."""

    def __init__(self, feed: Feed[CPUSequence], vocabulary: int) -> None:
        every = feed.logits is Logits.EVERY
        self._feed = feed
        self._tokens = np.asarray(feed.tokens, dtype=np.int32)
        self._score = np.asarray(feed.score, dtype=np.int32)
        self._scores = np.empty(len(feed.score), dtype=np.float32)
        self._greedy = np.empty(1, dtype=np.int32)
        self._logits: NDArray[np.float32] | None = None
        if feed.logits is not Logits.NONE:
            self._logits = np.empty((len(feed.tokens) if every else 1, vocabulary), dtype=np.float32)
        self.native = native.Feed(
            sequence=feed.sequence.handle,
            tokens=native.pointer(self._tokens),
            count=len(self._tokens),
            scored=len(self._score),
            score=native.pointer(self._score),
            scores=native.pointer(self._scores),
            greedy=native.pointer(self._greedy) if feed.greedy else None,
            logits=None if self._logits is None else native.pointer(self._logits),
            every=every,
        )

    def output(self) -> Output:
        """What was wanted, once the step is done."""
        return Output(
            scores=self._scores.tolist(),
            token=int(self._greedy[0]) if self._feed.greedy else None,
            logits=self._logits,
        )


def _rotations(shape: int8_layout.Shape, context: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines by which positions turn heads, (context, head / 2) each."""
    exponents = np.arange(0, shape.head, 2, dtype=np.float32) / np.float32(shape.head)
    frequencies = (1.0 / np.float32(shape.rope_theta) ** exponents).astype(np.float32)
    angles = np.arange(context, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)
