"""The header of a safetensors file: type, shape and place of each tensor.

A file is the length of its header (8 bytes, little-endian), the header (JSON) and the tensors' bytes. A header is
believed only where it fits itself and the file: each tensor lies within the file, and is as long as its type and shape
make it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 100_000_000
"""Bytes of a header: what the format allows."""
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Bytes of a number, by type; there are others, which nothing here reads."""
_LENGTH = 8


class HeaderDamaged(ValueError):  # noqa: N818 - says what it is
    """The file is none, or is not whole; the message says which."""


@dataclass(frozen=True)
class Entry:
    """One tensor: its type, its shape, and where in the file its bytes begin and end."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The tensors' entries by name, and what the writer noted."""

    tensors: dict[str, Entry]
    metadata: dict[str, Any]


def read(path: Path) -> Header:
    """The header of a file whose tensors are all there. Raises HeaderDamaged."""
    with path.open("rb") as file:
        length = file.read(_LENGTH)
        text = file.read(_text_length(length, path.stat().st_size, path.name))
    return parse(length + text, path.stat().st_size, path.name)


def parse(data: bytes | memoryview, size: int, name: str) -> Header:
    """The header of a file of `size` bytes that begins with `data`. Raises HeaderDamaged, which calls it `name`."""
    length = _text_length(bytes(data[:_LENGTH]), size, name)
    begin = _LENGTH + length
    try:
        found = json.loads(bytes(data[_LENGTH:begin]))
        metadata = found.pop("__metadata__", {})
        tensors = {key: _entry(key, entry, begin, name) for key, entry in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, HeaderDamaged):
            raise
        raise _none(name) from error
    end = max((entry.end for entry in tensors.values()), default=begin)
    if end != size:
        raise HeaderDamaged(f"{name} has {size} bytes, and its header tells of {end}")  # noqa: EM102
    return Header(tensors, metadata if isinstance(metadata, dict) else {})


def _text_length(length: bytes, size: int, name: str) -> int:
    number = int.from_bytes(length, "little")
    if not 0 < number <= min(size - _LENGTH, LARGEST):
        raise _none(name)
    return number


def _entry(key: str, entry: object, data: int, name: str) -> Entry:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if all(
            type(number) is int and number >= 0 for number in (*shape, begin, end)
        ):
            expected = math.prod(shape) * SIZES[dtype] if dtype in SIZES else end - begin
            if end - begin != expected or end < begin:
                raise HeaderDamaged(
                    f"{name} has {end - begin} bytes of {key}, and its type and shape make {expected}"  # noqa: EM102
                )
            return Entry(dtype, tuple(shape), data + begin, data + end)
    raise _none(name)


def _none(name: str) -> HeaderDamaged:
    return HeaderDamaged(f"{name} is not a safetensors file")
