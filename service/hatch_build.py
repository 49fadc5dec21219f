"""Build the native library with the package, using a C++ compiler that is a Python package.

So the machine needs no compiler. On machines that can't run the library (other than Linux on x86-64 or 64-bit
ARM) nothing is built, and the service runs models on transformers.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "mcq_service/engine/int8/libmcq.so"
FLAGS = [
    "-nostdlib++", "-nostdinc++", "-O3", "-std=c++20", "-fno-exceptions", "-fno-rtti", "-fno-strict-aliasing",
    # No debugging information: it contains the build's paths, so no two builds would be equal.
    "-fvisibility=hidden", "-fPIC", "-g0", "-Wall", "-Wextra",
]  # fmt: skip
_WIDE = ["-mprefer-vector-width=512"]


class Machine(NamedTuple):
    """A processor architecture: the folder of its sources, and the compiler flags of each source."""

    folder: str
    instructions: dict[str, list[str]]


MACHINES = {
    "x86_64": Machine(
        "x86",
        {
            "avx2.cpp": ["-mcpu=x86_64+avx2+fma+f16c"],
            "avx_vnni.cpp": ["-mcpu=x86_64+avx2+fma+f16c+avxvnni"],
            "avx512.cpp": ["-mcpu=x86_64_v4", *_WIDE],
            "avx512_vnni.cpp": ["-mcpu=x86_64_v4+avx512vnni", *_WIDE],
            "amx.cpp": ["-mcpu=x86_64_v4+avx512vnni+amx_tile+amx_int8", *_WIDE],
        },
    ),
    "aarch64": Machine(
        "arm",
        {
            "neon_i8mm.cpp": ["-mcpu=generic+dotprod+i8mm"],
            "neon_dotprod.cpp": ["-mcpu=generic+dotprod"],
        },
    ),
}


class NativeLibrary(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library to a wheel, and to the source tree for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library before the package's files are collected."""
        del version  # the library is the same in every kind of build
        machine = platform.machine()
        if sys.platform != "linux" or machine not in MACHINES:
            self.app.display_warning("The int8 engine is not built: it needs Linux on x86-64 or 64-bit ARM.")
            return
        root = Path(self.root)
        compile_library(root / "native", root / LIBRARY, machine)
        build_data["artifacts"].append(LIBRARY)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_2_28_{machine}"


def compile_library(sources: Path, library: Path, machine: str) -> None:
    """Compile all sources for a machine, two at a time, and link them. Raises CalledProcessError."""
    folder, instructions = MACHINES[machine]
    target = ["-target", f"{machine}-linux-gnu.2.28"]  # this glibc is in Debian 10 and RHEL 8
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        environment = {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(work / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(work / "zig"),
        }

        def cxx(*arguments: str | Path) -> None:
            subprocess.run([sys.executable, "-m", "ziglang", "c++", *arguments], env=environment, check=True)

        def compile_source(source: Path) -> Path:
            out = work / f"{source.stem}.o"
            cxx(*target, *FLAGS, *instructions.get(source.name, []), "-c", source, "-o", out)
            return out

        with ThreadPoolExecutor(2) as pool:
            files = sorted([*sources.glob("*.cpp"), *(sources / folder).glob("*.cpp")])
            objects = list(pool.map(compile_source, files))
        # Replaced by a rename: a running service may have the old library mapped.
        cxx(*target, "-shared", "-nostdlib++", *objects, "-o", work / library.name, "-lpthread")
        staged = library.with_name(f".{library.name}.{os.getpid()}")
        staged.write_bytes((work / library.name).read_bytes())
        staged.chmod(0o755)
        staged.rename(library)
