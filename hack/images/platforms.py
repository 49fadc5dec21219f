"""The platforms that the images are built for: PLATFORMS in the environment, by default this machine's own."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from hack.images.docker import ImageError

MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""All that each of our packages is published for, with the kernel's name of the machine."""
EMULATORS = Path("/proc/sys/fs/binfmt_misc")


def own() -> str:
    """This machine's, or, where it is no Linux, that of its Docker engine."""
    return "linux/arm64" if platform.machine() in {"aarch64", "arm64"} else "linux/amd64"


def chosen() -> list[str]:
    """Those to build for, in the order they are named, separated by commas or spaces. Raises ImageError."""
    names = re.findall(r"[^\s,]+", os.environ.get("PLATFORMS", "")) or [own()]
    if unknown := set(names) - set(MACHINES):
        message = f"PLATFORMS has {', '.join(sorted(unknown))}: there are {', '.join(MACHINES)}."
        raise ImageError(message)
    return list(dict.fromkeys(names))


def suffix(name: str) -> str:
    """What tells a platform's images and files from this machine's own, which have none: `-arm64`."""
    return "" if name == own() else f"-{architecture(name)}"


def architecture(name: str) -> str:
    """`arm64` of `linux/arm64`."""
    return name.removeprefix("linux/")


def require_runnable(name: str) -> None:
    """Raise ImageError if this kernel can't run the platform's programs, as a build does.

    An engine on another machine, or Docker Desktop's, has emulators of its own.
    """
    if name == own() or sys.platform != "linux" or os.environ.get("DOCKER_HOST"):
        return
    emulator = EMULATORS / f"qemu-{MACHINES[name]}"
    if not emulator.exists():
        message = (
            f"Building for {name} runs its programs, and nothing here does: there is no {emulator}."
            " Debian's qemu-user-static, with binfmt_misc mounted, has it; see docs/delivery.md."
        )
        raise ImageError(message)
