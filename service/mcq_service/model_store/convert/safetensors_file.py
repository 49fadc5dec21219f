"""Read and write safetensors files as streams of tensors; `safetensors_header` describes their header.

The safetensors library can only write tensors that are all in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mcq_service.model_store import safetensors_header
from mcq_service.model_store.convert.tensors import (
    PIECE,
    FloatArray,
    Tensor,
    from_bfloat16,
    to_bfloat16,
)
from mcq_service.model_store.errors import ConversionFailed
from mcq_service.model_store.precision import Precision

_NAMES: dict[Precision, str] = {"float32": "F32", "bfloat16": "BF16"}
_READABLE = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def write(
    path: Path, tensors: Sequence[Tensor], precision: Precision, advance: Callable[[int], None]
) -> None:
    """Write tensors in a precision; call `advance` with the number of weights of each piece.

    Raises ConversionFailed if a weight is not finite.
    """
    dtype = _NAMES[precision]
    header = {tensor.name: (dtype, tensor.shape) for tensor in tensors}
    with path.open("wb") as file:
        file.write(safetensors_header.encode(header, {"format": "pt"}))
        for tensor in tensors:
            for piece in tensor.finite_pieces():
                file.write(_encode(piece, precision))
                advance(piece.size)


def _encode(piece: FloatArray, precision: Precision) -> bytes:
    flat = np.ascontiguousarray(piece, dtype="<f4").reshape(-1)
    return (to_bfloat16(flat) if precision == "bfloat16" else flat).tobytes()


def read(path: Path) -> list[Tensor]:
    """Read the tensors of a file. Raises ConversionFailed if it is damaged or quantised."""
    try:
        header = safetensors_header.read(path)
    except safetensors_header.HeaderDamaged as error:
        raise ConversionFailed(f"{error}: fetch it again.") from error
    return [_tensor(path, name, entry) for name, entry in header.tensors.items()]


def _tensor(path: Path, name: str, entry: safetensors_header.TensorEntry) -> Tensor:
    if entry.dtype not in _READABLE:
        raise ConversionFailed(
            f"{path.name} stores {name} as {entry.dtype}: name a repository with weights in float32, "
            "float16 or bfloat16."
        )
    return Tensor(name, entry.shape, partial(_pieces, path, entry.begin, entry.shape, entry.dtype))


def _pieces(path: Path, offset: int, shape: tuple[int, ...], dtype: str) -> Iterator[FloatArray]:
    size = int(np.prod(shape, dtype=np.int64))
    stored = np.memmap(path, dtype=_READABLE[dtype], mode="r", offset=offset, shape=(size,))
    for begin in range(0, size, PIECE):
        piece = stored[begin : begin + PIECE]
        yield from_bfloat16(piece) if dtype == "BF16" else piece.astype(np.float32)
