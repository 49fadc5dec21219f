"""The header of a safetensors file: type, shape and offset of each tensor.

A file consists of the header's length (8 bytes, little-endian), the header (JSON) and the tensors' bytes. A header is
accepted only if it is consistent: each tensor lies within the file and has the length of its type and shape.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST = 100_000_000
"""Bytes of a header: the format's limit."""
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Bytes of a number, by type; other types are not read here."""
_LENGTH = 8
_PAGE = 4096


class HeaderDamaged(ValueError):
    """The file is not in the safetensors format, or is incomplete; the message says which."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: its type, its shape, and its first and last offset in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The tensors' entries by name, and the writer's metadata."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, Any]


def encode(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """Encode the header of a file with these types and shapes by name, in order.

    It is padded to a page, so that a mapped tensor is as aligned as an allocated one.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + _LENGTH) % _PAGE)
    return len(text).to_bytes(_LENGTH, "little") + text


def read(path: Path) -> Header:
    """Read the header of a complete file. Raises HeaderDamaged."""
    with path.open("rb") as file:
        length = file.read(_LENGTH)
        text = file.read(_text_length(length, path.stat().st_size, path.name))
    return parse(length + text, path.stat().st_size, path.name)


def parse(data: bytes | memoryview, size: int, name: str) -> Header:
    """Parse the header of a file of `size` bytes that begins with `data`. Raises HeaderDamaged, with `name`."""
    length = _text_length(bytes(data[:_LENGTH]), size, name)
    begin = _LENGTH + length
    try:
        entries = json.loads(bytes(data[_LENGTH:begin]))
        metadata = entries.pop("__metadata__", {})
        tensors = {key: _entry(key, entry, begin, name) for key, entry in entries.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, HeaderDamaged):
            raise
        raise _not_safetensors(name) from error
    end = max((entry.end for entry in tensors.values()), default=begin)
    if end != size:
        raise HeaderDamaged(f"{name} has {size} bytes, but its header says {end}")
    return Header(tensors, metadata if isinstance(metadata, dict) else {})


def _text_length(length: bytes, size: int, name: str) -> int:
    number = int.from_bytes(length, "little")
    if not 0 < number <= min(size - _LENGTH, LARGEST):
        raise _not_safetensors(name)
    return number


def _entry(key: str, entry: object, data: int, name: str) -> TensorEntry:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if all(
            type(number) is int and number >= 0 for number in (*shape, begin, end)
        ):
            expected = math.prod(shape) * SIZES[dtype] if dtype in SIZES else end - begin
            if end - begin != expected or end < begin:
                raise HeaderDamaged(
                    f"{name} has {end - begin} bytes of {key}, but its type and shape need {expected}"
                )
            return TensorEntry(dtype, tuple(shape), data + begin, data + end)
    raise _not_safetensors(name)


def _not_safetensors(name: str) -> HeaderDamaged:
    return HeaderDamaged(f"{name} is not a safetensors file")
