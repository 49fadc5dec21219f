"""Which numbers the weights are stored in."""

from pathlib import Path
from typing import Literal, get_args

Precision = Literal["float32", "bfloat16", "int8"]
PrecisionChoice = Literal["auto", "float32", "bfloat16", "int8"]
PRECISIONS: tuple[PrecisionChoice, ...] = get_args(PrecisionChoice)

BYTES_PER_WEIGHT: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "int8": 1}

NATIVE_LIBRARY = Path(__file__).parents[1] / "engines/libmcq.so"
"""What computes with int8 weights; it is built with the package, where it can run."""
_INT8_FLAGS = {"avx2", "fma", "f16c"}


def resolve(
    choice: PrecisionChoice,
    *,
    cpuinfo: Path = Path("/proc/cpuinfo"),
    gpus: tuple[Path, ...] = (Path("/dev/nvidiactl"), Path("/dev/kfd")),
    native_library: Path = NATIVE_LIBRARY,
) -> Precision:
    """The precision that `auto` means on this machine; the choice itself otherwise.

    A GPU computes in bfloat16. A CPU is fastest with int8, which needs AVX2 and the native library. Without those,
    bfloat16 halves the memory, and the time where the CPU multiplies it (avx512_bf16, amx_bf16); other CPUs convert
    every weight on the way, which makes it slower than float32.
    """
    if choice != "auto":
        return choice
    if any(gpu.exists() for gpu in gpus):
        return "bfloat16"
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    if flags >= _INT8_FLAGS and native_library.is_file():
        return "int8"
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"
