"""The target platforms of the images: PLATFORMS in the environment, by default this machine's own."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from hack.images.docker import ImageError

MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""The platforms that all our packages support, with the kernel's machine names."""
EMULATORS = Path("/proc/sys/fs/binfmt_misc")


def own() -> str:
    """Return this machine's platform; on a system other than Linux its Docker engine's."""
    return "linux/arm64" if platform.machine() in {"aarch64", "arm64"} else "linux/amd64"


def target_platforms() -> list[str]:
    """Return the target platforms in PLATFORMS' order, separated there by commas or spaces. Raises ImageError."""
    names = re.findall(r"[^\s,]+", os.environ.get("PLATFORMS", "")) or [own()]
    if unknown := set(names) - set(MACHINES):
        raise ImageError(f"PLATFORMS has {', '.join(sorted(unknown))}: there are {', '.join(MACHINES)}.")
    return list(dict.fromkeys(names))


def suffix(name: str) -> str:
    """Return the platform's suffix for images and files, such as `-arm64`; empty for this machine's own platform."""
    return "" if name == own() else f"-{architecture(name)}"


def architecture(name: str) -> str:
    """Return `arm64` for `linux/arm64`."""
    return name.removeprefix("linux/")


def require_runnable(name: str) -> None:
    """Raise ImageError if this kernel can't run the platform's programs, as a build does.

    A remote engine and Docker Desktop have their own emulators.
    """
    if name == own() or sys.platform != "linux" or os.environ.get("DOCKER_HOST"):
        return
    emulator = EMULATORS / f"qemu-{MACHINES[name]}"
    if not emulator.exists():
        message = (
            f"Building for {name} runs programs of that platform, and this machine can't: there is no {emulator}."
            " Debian's qemu-user-static, with binfmt_misc mounted, has it; see docs/delivery.md."
        )
        raise ImageError(message)
