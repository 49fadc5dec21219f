"""From nothing to a cluster that accepts MCQSolvers: `python -m hack.deploy`.

Creates cluster, images, CRDs and operator. Idempotent: a second run changes nothing.
TORCH=1 adds the image for solvers that need torch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.kind import KindCluster
from hack.cluster.providers import Provider, choose
from hack.errors import InstallError
from hack.images.build import LOCAL, PROGRAMS, build, tag
from hack.images.docker import ImageError
from hack.installation import DEFAULT, Images, install_crds, install_operator
from hack.kubectl import Kubectl, KubectlError
from hack.settings import flag
from hack.toolchain.errors import ToolError
from hack.toolchain.paths import ROOT, VOLUMES
from hack.toolchain.progress import Progress

FAILURES = (ToolError, InstallError, ImageError, KubectlError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Deployed:
    """A cluster with the operator."""

    provider: Provider
    kubectl: Kubectl


def deploy(progress: Progress) -> Deployed:
    """Deploy the operator. Raises one of FAILURES; its message says what to do."""
    provider = choose(progress)
    provider.up()
    progress.say("Images")
    programs = PROGRAMS if flag(os.environ, "TORCH") else LOCAL
    build(programs)
    references = {program: provider.load(tag(program)) for program in programs}
    kubectl = Kubectl(provider.kubectl(), provider.kubeconfig())
    with progress.step("install CRDs and operator"):
        install_crds(kubectl)
        install_operator(kubectl, Images.of(references), DEFAULT)
    return Deployed(provider, kubectl)


def seed_model(provider: Provider, namespace: str, claim: str) -> None:
    """Put the prepared model where the local cluster will create the claim's volume, so that no pod downloads it.

    The files are hard links, so that pods map the same memory pages as the cache's file.
    """
    if not isinstance(provider, KindCluster):
        return
    volume = VOLUMES / namespace / claim
    printed = subprocess.run([ROOT / "hack/model"], stdout=subprocess.PIPE, text=True, check=True).stdout
    prepared = Path(printed.strip())
    volume.mkdir(parents=True, exist_ok=True)
    volume.chmod(0o777)  # the service is an ordinary user and adds files here
    if not (volume / prepared.name).exists():
        shutil.copytree(prepared, volume / prepared.name, copy_function=os.link)


def main() -> None:
    """Deploy, or exit with the error."""
    try:
        deploy(Progress())
    except FAILURES as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
