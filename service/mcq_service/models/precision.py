"""Which numbers the weights are stored in."""

from pathlib import Path
from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[PrecisionChoice, ...] = get_args(PrecisionChoice)

BYTES_PER_WEIGHT: dict[Precision, int] = {"float32": 4, "bfloat16": 2}


def resolve(
    choice: PrecisionChoice,
    *,
    cpuinfo: Path = Path("/proc/cpuinfo"),
    gpus: tuple[Path, ...] = (Path("/dev/nvidiactl"), Path("/dev/kfd")),
) -> Precision:
    """The precision that `auto` means on this machine; the choice itself otherwise.

    bfloat16 halves the memory, and the time where the CPU multiplies it (avx512_bf16, amx_bf16) or a GPU is
    there. Other CPUs convert every weight on the way, which makes it slower than float32.
    """
    if choice != "auto":
        return choice
    flags = cpuinfo.read_text().split() if cpuinfo.is_file() else []
    fast = "avx512_bf16" in flags or "amx_bf16" in flags or any(gpu.exists() for gpu in gpus)
    return "bfloat16" if fast else "float32"
