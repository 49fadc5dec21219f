"""The native library: where it is, and its functions with their types, as service/native/api.h declares them."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_uint64, c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any

from mcq_service.model_store.precision import NATIVE_LIBRARY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NO_MEMORY = 1
REASONS = {
    2: "A sequence was fed more tokens than it has room for.",
    3: "A token is not one of the model's.",
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


class Feed(Structure):
    """`mcq_feed`."""

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
    ]


@cache
def library() -> Any:
    """The library, loaded. Raises OSError where it was not built or can't be loaded."""
    loaded = ctypes.CDLL(str(NATIVE_LIBRARY))  # a call releases the interpreter's lock
    for name, result, arguments in (
        ("mcq_instructions", c_char_p, [c_char_p]),
        ("mcq_open", c_void_p, [POINTER(Shape), POINTER(Weights), c_int, c_char_p]),
        ("mcq_close", None, [c_void_p]),
        ("mcq_sequence_open", c_void_p, [c_void_p, c_void_p, c_int]),
        ("mcq_sequence_close", None, [c_void_p, c_void_p]),
        ("mcq_cache_bytes", c_uint64, [c_void_p]),
        ("mcq_step", c_int, [c_void_p, POINTER(Feed), c_int]),
        ("mcq_products", None, [c_void_p, c_int]),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def instructions(wanted: str = "") -> str | None:
    """The instruction set the engine would use, `wanted` or the best; None where it can't run."""
    try:
        found = library().mcq_instructions(wanted.encode())
    except OSError:
        return None
    return found.decode() if found else None


def pointer(array: NDArray[np.generic]) -> int:
    """Where an array's contiguous numbers lie; whoever passes it on keeps the array."""
    return int(array.ctypes.data)
