"""Build the native library with the package, using a C++ compiler that is a Python package.

So the machine needs no compiler. On machines that can't run the library (other than Linux on x86-64) nothing is built,
and the service runs models on transformers.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "mcq_service/engine/int8/libmcq.so"
# glibc 2.28 is in Debian 10 and RHEL 8.
TARGET = ["-target", "x86_64-linux-gnu.2.28"]
FLAGS = [
    *TARGET, "-nostdlib++", "-nostdinc++", "-O3", "-std=c++20", "-fno-exceptions", "-fno-rtti", "-fno-strict-aliasing",
    # No debugging information: it contains the build's paths, so no two builds would be equal.
    "-fvisibility=hidden", "-fPIC", "-g0", "-Wall", "-Wextra",
]  # fmt: skip
INSTRUCTIONS = {
    "kernels_avx2.cpp": ["-mcpu=x86_64+avx2+fma+f16c"],
    "kernels_avx_vnni.cpp": ["-mcpu=x86_64+avx2+fma+f16c+avxvnni"],
    "kernels_avx512.cpp": ["-mcpu=x86_64_v4", "-mprefer-vector-width=512"],
    "kernels_avx512_vnni.cpp": ["-mcpu=x86_64_v4+avx512vnni", "-mprefer-vector-width=512"],
    "kernels_amx.cpp": ["-mcpu=x86_64_v4+avx512vnni+amx_tile+amx_int8", "-mprefer-vector-width=512"],
}


class NativeLibrary(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library to a wheel, and to the source tree for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library before the package's files are collected."""
        del version  # the library is the same in every kind of build
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            self.app.display_warning("The int8 engine is not built: it needs Linux on x86-64.")
            return
        root = Path(self.root)
        compile_library(root / "native", root / LIBRARY)
        build_data["artifacts"].append(LIBRARY)
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-manylinux_2_28_x86_64"


def compile_library(sources: Path, library: Path) -> None:
    """Compile all sources, two at a time, and link them. Raises CalledProcessError."""
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
            cxx(*FLAGS, *INSTRUCTIONS.get(source.name, []), "-c", source, "-o", out)
            return out

        with ThreadPoolExecutor(2) as pool:
            objects = list(pool.map(compile_source, sorted(sources.glob("*.cpp"))))
        # Replaced by a rename: a running service may have the old library mapped.
        cxx(*TARGET, "-shared", "-nostdlib++", *objects, "-o", work / library.name, "-lpthread")
        staged = library.with_name(f".{library.name}.{os.getpid()}")
        staged.write_bytes((work / library.name).read_bytes())
        staged.chmod(0o755)
        staged.rename(library)
