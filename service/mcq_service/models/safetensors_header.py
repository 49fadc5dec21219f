"""The header of a safetensors file: type, shape and offsets of each tensor.

A file is the length of its header (8 bytes, little-endian), the header (JSON) and the tensors' bytes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 100_000_000
"""Bytes of a header: what the format allows."""


class HeaderDamaged(ValueError):  # noqa: N818 - says what it is
    """The file is none, or is not whole; the message says which."""


@dataclass(frozen=True)
class Header:
    """The tensors' entries by name, and the offset in bytes of the first tensor."""

    tensors: dict[str, dict[str, Any]]
    data: int


def read(path: Path) -> Header:
    """The header of a file whose tensors are all there. Raises HeaderDamaged."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(size - 8, LARGEST):
            raise HeaderDamaged(f"{path.name} is not a safetensors file")  # noqa: EM102
        try:
            tensors = json.loads(file.read(length))
            tensors.pop("__metadata__", None)
            end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise HeaderDamaged(f"{path.name} is not a safetensors file") from error  # noqa: EM102
    if 8 + length + end != size:
        raise HeaderDamaged(f"{path.name} has {size} bytes, and its header tells of {8 + length + end}")  # noqa: EM102
    return Header(tensors, 8 + length)
