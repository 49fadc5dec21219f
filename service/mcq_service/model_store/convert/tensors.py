"""Tensors that are read piece by piece, so that a conversion needs little memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcq_service.model_store.errors import ConversionFailed

FloatArray = NDArray[np.float32]
PIECE = 1 << 22  # weights read at a time: 16 MiB as float32


@dataclass(frozen=True)
class Tensor:
    """A named matrix of weights; `pieces` yields it in order, a few million float32 weights at a time."""

    name: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[FloatArray]]

    @property
    def size(self) -> int:
        """The number of weights."""
        return int(np.prod(self.shape, dtype=np.int64))

    def finite_pieces(self) -> Iterator[FloatArray]:
        """Yield the pieces. Raises ConversionFailed at a weight that is not finite."""
        for piece in self.pieces():
            if not np.isfinite(piece).all():
                raise ConversionFailed(f"{self.name} has weights that are not numbers: fetch it again.")
            yield piece


def to_bfloat16(values: FloatArray) -> NDArray[np.uint16]:
    """Round finite float32 values to their upper halves: to nearest, ties to even."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def from_bfloat16(bits: NDArray[np.uint16]) -> FloatArray:
    """Convert bfloat16 bit patterns to float32 values."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


Json = dict[str, Any]
