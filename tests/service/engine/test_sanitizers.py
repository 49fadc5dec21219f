"""The native library under sanitizers: no foreign memory, no undefined behaviour and no race."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hack.toolchain.progress import Progress
from hack.toolchain.tools import install_packages
from tests.service.engine import native_workload
from tests.service.engine.test_int8_engine import SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCES = Path(__file__).resolve().parents[3] / "service/native"
CLANG = "clang++-16"  # the oldest instruction set with half floats
PACKAGES = {
    "/usr/bin/clang++-16": "clang-16",
    "/usr/lib/llvm-16/lib/clang/16/lib/linux": "libclang-rt-16-dev",
}
FLAGS = [
    "-O1",
    "-g",
    "-std=c++20",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-strict-aliasing",
    "-fPIC",
    "-march=x86-64-v2",
]
WIDE = ("-march=x86-64-v4", "-mprefer-vector-width=512")
INSTRUCTIONS = {
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx_vnni": ["-mavx2", "-mfma", "-mf16c", "-mavxvnni"],
    "avx512": [*WIDE],
    "avx512_vnni": [*WIDE, "-mavx512vnni"],
    "amx": [*WIDE, "-mavx512vnni", "-mamx-tile", "-mamx-int8"],
}
MEMORY = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
THREAD = ("-fsanitize=thread",)
RUNTIMES = {MEMORY: "libclang_rt.asan-x86_64.so", THREAD: "libclang_rt.tsan-x86_64.so"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SETS, reason="this CPU has no AVX2, or the native library was not built"),
]


@pytest.fixture(scope="module", params=[MEMORY, THREAD], ids=["memory", "thread"])
def sanitized(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """Return the library with a sanitizer, and the environment for a process that loads it."""
    install_packages(lambda: [name for path, name in PACKAGES.items() if not Path(path).exists()], Progress())
    work, flags = tmp_path_factory.mktemp("sanitized"), request.param

    def compiled(source: Path) -> Path:
        out = work / f"{source.stem}.o"
        more = INSTRUCTIONS.get(source.stem, [])
        subprocess.run([CLANG, *FLAGS, *more, *flags, "-c", source, "-o", out], check=True)
        return out

    with ThreadPoolExecutor(2) as pool:
        objects = [*pool.map(compiled, sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("x86/*.cpp")]))]
    library = work / "libmcq.so"
    subprocess.run([CLANG, "-shared", "-shared-libsan", *flags, *objects, "-o", library], check=True)
    environment = {
        "LD_PRELOAD": next(path for path in PACKAGES if path.endswith("linux")) + "/" + RUNTIMES[flags],
        # Python and its libraries keep memory until they exit.
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1",
        "PYTHONMALLOC": "malloc",
    }
    return library, environment


def run(
    library: Path, model: Path, environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the workload without random addresses, because the thread sanitizer needs fixed ones."""
    command = [
        "setarch",
        "--addr-no-randomize",
        sys.executable,
        native_workload.__file__,
        str(library),
        str(model),
        *arguments,
    ]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.parametrize("instructions", SETS)
def test_the_sanitizers_report_nothing(
    sanitized: tuple[Path, dict[str, str]], tiny: Path, instructions: str
) -> None:
    """The workload has more threads than other tests; they join, leave, sleep and wake."""
    library, environment = sanitized
    done = run(library, tiny, environment, instructions)
    assert done.returncode == 0, done.stderr


def test_the_sanitizers_report_a_fault(sanitized: tuple[Path, dict[str, str]], tiny: Path) -> None:
    library, environment = sanitized
    memory = "asan" in environment["LD_PRELOAD"]
    done = run(library, tiny, environment, SETS[0], "overrun" if memory else "race")
    assert done.returncode != 0
    assert ("heap-buffer-overflow" if memory else "data race") in done.stderr
