"""The number formats of weights, and the choice of one for this machine."""

import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

FloatPrecision = Literal["float32", "bfloat16"]
Precision = Literal["float32", "bfloat16", "int8"]
PrecisionChoice = Literal["auto", "float32", "bfloat16", "int8"]
PRECISIONS: tuple[PrecisionChoice, ...] = get_args(PrecisionChoice)

BYTES_PER_WEIGHT: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "int8": 1}

NATIVE_LIBRARY = Path(__file__).parents[1] / "engine/int8/libmcq.so"
"""The int8 engine's library; it is built with the package on machines that can run it."""
_INT8_FLAGS = ({"avx2", "fma", "f16c"}, {"asimd", "asimddp"})  # of x86-64 and 64-bit ARM

InstructionSet = Literal["amx", "avx512_vnni", "avx512", "avx_vnni", "avx2", "neon_i8mm", "neon_dotprod"]
INSTRUCTION_SETS: tuple[InstructionSet, ...] = get_args(InstructionSet)
"""The int8 engine's, the fastest first. All give the same results to the bit."""

CPUINFO = Path("/proc/cpuinfo")
GPUS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


def resolve(
    choice: PrecisionChoice,
    *,
    cpuinfo: Path = CPUINFO,
    gpus: tuple[Path, ...] = GPUS,
    native_library: Path = NATIVE_LIBRARY,
) -> Precision:
    """Resolve `auto` for this machine; return any other choice unchanged.

    A CPU is fastest with int8, which needs AVX2 or ARM's dotprod, and the native library. `best_float` is the choice
    for other machines, and for models that the int8 engine does not support.
    """
    if choice != "auto":
        return choice
    supported = any(_flags(cpuinfo) >= each for each in _INT8_FLAGS) and native_library.is_file()
    return "int8" if supported and not _usable(gpus) else best_float(cpuinfo=cpuinfo, gpus=gpus)


def has_torch() -> bool:
    """Return whether torch and transformers are installed: the image mcq-service has neither."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def best_float(*, cpuinfo: Path = CPUINFO, gpus: tuple[Path, ...] = GPUS) -> FloatPrecision:
    """Return the precision in which transformers is fastest on this machine.

    bfloat16 halves the memory. It also halves the time if a GPU or the CPU (avx512_bf16, amx_bf16) multiplies it;
    other CPUs convert every weight first, which is slower than float32.
    """
    return "bfloat16" if _usable(gpus) or _flags(cpuinfo) & {"avx512_bf16", "amx_bf16"} else "float32"


def _flags(cpuinfo: Path) -> set[str]:
    return set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()


def _usable(gpus: tuple[Path, ...]) -> bool:
    return any(gpu.exists() for gpu in gpus) and torch_has_gpu_support()


def torch_has_gpu_support() -> bool:
    """Return whether the installed torch was built for GPUs, without the seconds that importing it takes."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    version = runpy.run_path(str(Path(spec.origin).with_name("version.py")))
    return bool(version.get("cuda") or version.get("hip"))
