"""Bindings to the native library; service/native/api.h declares the functions and types."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_uint64, c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any

from mcq_service.model_store.precision import INSTRUCTION_SETS, NATIVE_LIBRARY, InstructionSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MADV_POPULATE_READ = 22  # linux/mman.h
NO_MEMORY = 1
ERRORS = {
    2: "The tokens exceed the sequence's room.",
    3: "A token is not in the model's vocabulary.",
}


class Shape(Structure):
    """`mcq_shape`."""

    _fields_ = [
        *(
            (name, c_int32)
            for name in ("layers", "hidden", "inner", "vocabulary", "heads", "kv_heads", "head")
        ),
        *(
            (f"padded_{name}", c_int32)
            for name in ("hidden", "inner", "head", "vocabulary", "qkv", "attention")
        ),
        ("context", c_int32),
        ("epsilon", c_float),
        ("score_scale", c_float),
    ]


class Matrix(Structure):
    """`mcq_matrix`."""

    _fields_ = [("panels", c_void_p), ("scales", c_void_p)]


class Layer(Structure):
    """`mcq_layer`."""

    _fields_ = [
        ("attention_norm", c_void_p),
        ("qkv", Matrix),
        ("qkv_bias", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("attention_output", Matrix),
        ("mlp_norm", c_void_p),
        ("gate_up", Matrix),
        ("down", Matrix),
    ]


class Weights(Structure):
    """`mcq_weights`."""

    _fields_ = [
        ("layers", POINTER(Layer)),
        ("embedding", Matrix),
        ("output", Matrix),
        ("norm", c_void_p),
        ("cosines", c_void_p),
        ("sines", c_void_p),
    ]


class BatchItem(Structure):
    """`mcq_batch_item`."""

    _fields_ = [
        ("sequence", c_void_p),
        ("tokens", c_void_p),
        ("count", c_int32),
        ("scored", c_int32),
        ("score", c_void_p),
        ("scores", c_void_p),
        ("greedy", c_void_p),
        ("logits", c_void_p),
        ("every", c_int32),
        ("greedy_count", c_int32),
    ]


@cache
def library() -> Any:
    """Load the library. Raises OSError if it was not built or can't be loaded."""
    loaded = ctypes.CDLL(str(NATIVE_LIBRARY))  # a call releases the interpreter's lock
    for name, result, arguments in (
        ("mcq_instructions", c_char_p, [c_char_p]),
        ("mcq_open", c_void_p, [POINTER(Shape), POINTER(Weights), c_int, c_char_p]),
        ("mcq_close", None, [c_void_p]),
        ("mcq_sequence_open", c_void_p, [c_void_p, c_void_p, c_int]),
        ("mcq_sequence_close", None, [c_void_p, c_void_p]),
        ("mcq_sequence_forget", None, [c_void_p, c_int]),
        ("mcq_cache_bytes", c_uint64, [c_void_p]),
        ("mcq_step", c_int, [c_void_p, POINTER(BatchItem), c_int]),
        ("mcq_products", None, [c_void_p, c_int, c_int]),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def instruction_set(name: str = "") -> str | None:
    """Return the instruction set to use: `name`, by default the best; None if this machine lacks it."""
    try:
        supported = library().mcq_instructions(name.encode())
    except OSError:
        return None
    return supported.decode() if supported else None


def instruction_sets() -> list[InstructionSet]:
    """Return the instruction sets that this machine has, the fastest first."""
    return [each for each in INSTRUCTION_SETS if instruction_set(each)]


def read_pages(mapped: NDArray[np.uint8]) -> None:
    """Read a mapped file, so that the first step doesn't wait for each page. Other threads run meanwhile.

    Kernels before 5.14 refuse; there the first step reads the pages.
    """
    advise = ctypes.CDLL(None).madvise
    advise(c_void_p(pointer(mapped)), ctypes.c_size_t(mapped.nbytes), _MADV_POPULATE_READ)


def pointer(array: NDArray[np.generic]) -> int:
    """Return the address of a contiguous array's data. The caller keeps the array alive."""
    return int(array.ctypes.data)
