"""Write a model for the int8 engine; `int8_layout` describes the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mcq_service.model_store import safetensors_header
from mcq_service.model_store.errors import ConversionFailed
from mcq_service.model_store.int8_layout import (
    FORMAT,
    GATE_BLOCK,
    OFFSET,
    PANEL,
    PackedTensor,
    Shape,
    layout,
    padded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mcq_service.model_store.convert.tensors import FloatArray, Tensor

_LARGEST = 127

Array: TypeAlias = "FloatArray | NDArray[np.uint8]"


@dataclass(frozen=True)
class _Part:
    """A tensor of the file; `arrays` yields its bytes in order."""

    name: str
    arrays: Callable[[], Iterable[Array]]


def write(path: Path, tensors: Sequence[Tensor], shape: Shape, advance: Callable[[int], None]) -> None:
    """Quantise, pack and write; call `advance` with the number of weights of each piece.

    Raises ConversionFailed if a tensor is missing or has a value that is not finite.
    """
    packed_tensors = layout(shape)
    packer = _Packer({tensor.name: tensor for tensor in tensors}, shape, packed_tensors, advance)
    parts = list(_parts(packer))
    header = {part.name: packed_tensors[part.name] for part in parts}
    with path.open("wb") as file:
        file.write(safetensors_header.encode(header, {"format": FORMAT}))
        for part in parts:
            for array in part.arrays():
                file.write(array.tobytes())


def _parts(packer: _Packer) -> Iterator[_Part]:
    """Yield the file's tensors, in the order of a forward pass."""
    shape = packer.shape
    yield from packer.matrix("embedding", packer.channels("model.embed_tokens"))
    for index in range(shape.layers):
        layer = f"model.layers.{index}"
        packed = f"layers.{index}"
        yield packer.vector(f"{packed}.attention_norm", f"{layer}.input_layernorm.weight")
        yield from packer.matrix(f"{packed}.qkv", packer.qkv(layer, "weight"))
        for kind, short in (("query", "q"), ("key", "k")) if shape.head_norms else ():
            source = f"{layer}.self_attn.{short}_norm.weight"
            yield packer.vector(f"{packed}.{kind}_norm", source, size=shape.padded_head)
        yield _Part(f"{packed}.qkv.bias", lambda layer=layer: [packer.qkv_bias(layer)])  # type: ignore[misc]
        yield from packer.matrix(f"{packed}.attention_output", packer.attention_output(layer))
        yield packer.vector(f"{packed}.mlp_norm", f"{layer}.post_attention_layernorm.weight")
        yield from packer.matrix(f"{packed}.gate_up", packer.gate_up(layer))
        yield from packer.matrix(f"{packed}.down", packer.channels(f"{layer}.mlp.down_proj"))
    yield packer.vector("norm", "model.norm.weight")
    if not shape.tied:
        yield from packer.matrix("output", packer.channels("lm_head"))


class _Packer:
    """Reads tensors in the order of the packed channels and quantises them."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        shape: Shape,
        stored: Mapping[str, PackedTensor],
        advance: Callable[[int], None],
    ) -> None:
        self.shape = shape
        self._tensors = tensors
        self._stored = stored
        self._advance = advance

    def matrix(self, name: str, rows: Callable[[], Iterator[FloatArray]]) -> Iterator[_Part]:
        """Pack a matrix and its scales, from blocks of channels (any number, inputs)."""
        panels_of_matrix, groups, *_ = self._stored[f"{name}.panels"].shape
        columns, depth = panels_of_matrix * PANEL, groups * 4
        scales: list[FloatArray] = []

        def panels() -> Iterator[NDArray[np.uint8]]:
            for block in _blocks(rows(), PANEL, columns, depth):
                packed, scale = quantise(block)
                scales.append(scale)
                yield packed

        yield _Part(f"{name}.panels", panels)
        yield _Part(f"{name}.scales", lambda: scales)

    def vector(self, name: str, source: str, *, size: int | None = None) -> _Part:
        """Pad a vector to `size`, by default that of the hidden state."""
        length = size or padded(self.shape.hidden)
        return _Part(name, lambda: [_pad(np.concatenate(list(self._read(source))), length)])

    def channels(self, stem: str) -> Callable[[], Iterator[FloatArray]]:
        """Read a matrix unchanged."""
        return lambda: self._rows(f"{stem}.weight", PANEL)

    def gate_up(self, layer: str) -> Callable[[], Iterator[FloatArray]]:
        """Read the MLP's gate and up in alternating blocks; pad the last block."""

        def rows() -> Iterator[FloatArray]:
            both = (self._rows(f"{layer}.mlp.{name}_proj.weight", GATE_BLOCK) for name in ("gate", "up"))
            for pair in zip(*both, strict=True):
                for block in pair:
                    yield np.pad(block, ((0, GATE_BLOCK - len(block)), (0, 0)))

        return rows

    def qkv(self, layer: str, kind: str) -> Callable[[], Iterator[FloatArray]]:
        """Read queries, keys and values, head by head."""

        def rows() -> Iterator[FloatArray]:
            for name in "qkv":
                for head in self._rows(f"{layer}.self_attn.{name}_proj.{kind}", self.shape.head):
                    yield np.pad(head, ((0, self.shape.padded_head - self.shape.head), (0, 0)))

        return rows

    def qkv_bias(self, layer: str) -> FloatArray:
        """Return the biases of queries, keys and values, in the order of their channels; zeros without biases."""
        if not self.shape.biased:
            return np.zeros(self.shape.padded_qkv, dtype=np.float32)
        return _pad(np.concatenate(list(self.qkv(layer, "bias")())).reshape(-1), self.shape.padded_qkv)

    def attention_output(self, layer: str) -> Callable[[], Iterator[FloatArray]]:
        """Read the attention's output matrix; its inputs are padded heads."""
        shape = self.shape

        def rows() -> Iterator[FloatArray]:
            for block in self._rows(f"{layer}.self_attn.o_proj.weight", PANEL):
                heads = block.reshape(len(block), shape.heads, shape.head)
                yield np.pad(heads, ((0, 0), (0, 0), (0, shape.padded_head - shape.head))).reshape(
                    len(block), -1
                )

        return rows

    def _rows(self, name: str, count: int) -> Iterator[FloatArray]:
        """Yield a tensor's rows, `count` at a time; a vector's rows are single numbers."""
        tensor = self._tensor(name)
        width = tensor.size // tensor.shape[0]
        rest = np.empty(0, dtype=np.float32)
        for piece in self._read(name):
            rest = np.concatenate([rest, piece]) if rest.size else piece
            whole = rest.size // (count * width) * count * width
            yield from rest[:whole].reshape(-1, count, width)
            rest = rest[whole:]
        if rest.size:
            yield rest.reshape(-1, width)

    def _read(self, name: str) -> Iterator[FloatArray]:
        for piece in self._tensor(name).finite_pieces():
            yield np.ascontiguousarray(piece, dtype=np.float32).reshape(-1)
            self._advance(piece.size)

    def _tensor(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise ConversionFailed(f"The model's files lack {name}: fetch it again.")
        return self._tensors[name]


def quantise(block: FloatArray) -> tuple[NDArray[np.uint8], FloatArray]:
    """Quantise a panel's channels (64, inputs); return them packed, and their scales (64,)."""
    scale = np.abs(block).max(axis=1) / np.float32(_LARGEST)
    whole = np.rint(block / np.where(scale > 0, scale, 1)[:, None])
    packed = (whole + OFFSET).astype(np.uint8).reshape(PANEL, -1, 4).transpose(1, 0, 2)
    return packed, scale


def _blocks(rows: Iterator[FloatArray], count: int, total: int, width: int) -> Iterator[FloatArray]:
    """Yield blocks of `count` rows and `width` columns, `total` rows in all, padded with zeros."""
    waiting: list[FloatArray] = []
    buffered = emitted = 0
    for block in rows:
        waiting.append(
            np.pad(block, ((0, 0), (0, width - block.shape[1]))) if block.shape[1] < width else block
        )
        buffered += len(block)
        while buffered >= count:
            joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            yield joined[:count]
            waiting, buffered, emitted = [joined[count:]], buffered - count, emitted + count
    while emitted < total:
        joined = np.concatenate([*waiting, np.zeros((count - buffered, width), dtype=np.float32)])
        yield joined
        waiting, buffered, emitted = [], 0, emitted + count


def _pad(vector: FloatArray, size: int) -> FloatArray:
    return np.pad(vector, (0, size - vector.size))
