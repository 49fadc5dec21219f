"""kubectl as a function, against the cluster that hack/cluster manages."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

CLUSTER = Path(__file__).resolve().parent / "cluster/cluster"


class KubectlError(Exception):
    """kubectl refused; the message is what it printed."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 660) -> str:
        """Run kubectl and return what it printed; raises KubectlError with what it said if it failed."""
        done = subprocess.run(
            [self.program, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout


def cluster(*arguments: str) -> str:
    """Run hack/cluster's command with its progress on this terminal; returns what it printed on stdout."""
    done = subprocess.run([CLUSTER, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()
