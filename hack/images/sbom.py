"""The images' bills of materials in CycloneDX format: `python -m hack.images.sbom` writes dist/*.cdx.json."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from typing import TYPE_CHECKING

from hack.images.build import DIST, PROGRAMS, tag, version
from hack.images.docker import ImageError, quiet
from hack.images.platforms import suffix, target_platforms
from hack.toolchain.errors import ToolError
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

if TYPE_CHECKING:
    from pathlib import Path

# List the installed packages, not their files.
CATALOGERS = ("--override-default-catalogers", "image", "--select-catalogers", "-file")


def sbom_path(program: str, platform: str) -> Path:
    """Return the path of an image's SBOM."""
    return DIST / f"mcq-{program}{suffix(platform)}.cdx.json"


def sbom_paths() -> dict[Path, str]:
    """Return {path: image} for each image and platform in PLATFORMS. Raises ImageError."""
    return {
        sbom_path(program, platform): tag(program, platform)
        for platform, program in product(target_platforms(), PROGRAMS)
    }


def write_sboms(progress: Progress) -> list[Path]:
    """Write one file per local image and platform in PLATFORMS, with its Debian and Python packages.

    Raises ImageError or ToolError.
    """
    tools = Tools(CACHE, progress)
    tools.build(["syft"])
    DIST.mkdir(exist_ok=True)
    # Disable syft's check for a newer release.
    os.environ["SYFT_CHECK_FOR_APP_UPDATE"] = "false"
    paths = sbom_paths()
    for path, image in paths.items():
        named = ("--source-name", image.partition(":")[0], "--source-version", version())
        output = ("--quiet", "--output", f"cyclonedx-json={path}")
        with progress.step(str(path.relative_to(ROOT))):
            quiet([str(tools.binary("syft")), "scan", f"docker:{image}", *CATALOGERS, *named, *output])
    return list(paths)


if __name__ == "__main__":
    try:
        print("\n".join(map(str, write_sboms(Progress()))))
    except (ToolError, ImageError, subprocess.SubprocessError) as error:
        sys.exit(str(error))
