"""Download and build the tests' dependencies, with progress: `python -m hack.prepare [--all]`.

On a new machine this takes most of the first run, so it is a separate step. A second run changes nothing. `--all` adds
the dependencies of `make test-all`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from hack.cluster.node_image import node_image
from hack.cluster.node_image.build import DEFAULT_VERSION
from hack.images import engine
from hack.images.build import LOCAL, PROGRAMS, build
from hack.images.docker import ImageError
from hack.toolchain.errors import ToolError
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools, install_programs

MODULES = ("kubernetes", "cluster", "registry", "helm", "crdify", "rclone", "prometheus", "alertmanager")
MORE_MODULES = ("jaeger", "compose", "cosign", "syft", "prometheus-operator", "keda", "prometheus-adapter")


def prepare(progress: Progress, *, everything: bool) -> None:
    """Prepare all dependencies. Raises ToolError, ImageError or CalledProcessError."""
    with progress.step("weights"):
        subprocess.run([ROOT / "hack/model"], check=True, stdout=subprocess.DEVNULL)
    install_programs({"chromium": "chromium"}, progress)
    Tools(CACHE, progress).build([*MODULES, *(MORE_MODULES if everything else ())])
    if (os.environ.get("CLUSTER") or "kind") == "kind":
        engine.ensure(progress)
        node_image(os.environ.get("KUBERNETES") or DEFAULT_VERSION, progress)
        build(PROGRAMS if everything else LOCAL)


def main() -> None:
    """Prepare, or exit with the error."""
    parser = argparse.ArgumentParser(prog="python -m hack.prepare", description=__doc__)
    parser.add_argument("--all", action="store_true", help="also the dependencies of `make test-all`")
    try:
        prepare(Progress(), everything=parser.parse_args().all)
    except (ToolError, ImageError, subprocess.SubprocessError) as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
