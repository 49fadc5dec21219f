"""From nothing to a cluster where an MCQSolver can be applied: `python -m hack.deploy`.

Cluster, images, CRDs and operator; idempotent, so that the second time only says that everything is there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.images import build

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("MCQ_CACHE") or Path.home() / ".cache/mcq-operator")
CLUSTER = ROOT / "hack/cluster/cluster"
OVERLAY = ROOT / "build/deploy"
NAMESPACE = "mcq-operator-system"


@dataclass(frozen=True)
class Kubectl:
    """kubectl against one cluster; a command that fails raises with what kubectl said."""

    kubeconfig: Path

    def __call__(self, *arguments: str, input: str | None = None, timeout: float = 660) -> str:  # noqa: A002
        """Run kubectl and return what it printed."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            input=input, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout


class KubectlError(Exception):
    """kubectl refused; the message is what it printed."""


def cluster(*arguments: str) -> str:
    """Run hack/cluster's command, its progress on this terminal, and return what it printed on stdout."""
    done = subprocess.run([CLUSTER, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def seed_model(namespace: str, claim: str) -> None:
    """Put the prepared model into the directory that the claim's volume will have, so that no pod fetches it.

    Hard links: the pods' mapped weights are the very pages of the one file in the cache.
    """
    prepared = Path(
        subprocess.run([ROOT / "hack/model"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    )
    volume = CACHE / "cluster/volumes" / namespace / claim
    target = volume / prepared.relative_to(CACHE / "models")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(prepared, target, copy_function=os.link)
    for directory in (volume, *[parent for parent in target.parents if volume in parent.parents]):
        directory.chmod(0o777)  # the service runs as an ordinary user and keeps its lock files here
