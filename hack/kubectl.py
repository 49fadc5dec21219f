"""kubectl as a function."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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

    @contextmanager
    def forward(self, namespace: str, service: str, port: int | str) -> Iterator[str]:
        """A Service's port on this machine while the block runs: its URL. Raises KubectlError.

        It goes by way of the kubelet, so that no network policy and no closed port is in its way.
        """
        command = ["--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
        with subprocess.Popen(
            [self.program, *command], env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout  # noqa: S101 (asked for)
            assert process.stderr  # noqa: S101 (asked for)
            try:
                told = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
                if not told:
                    raise KubectlError(process.stderr.read().strip())
                yield f"http://{told[1]}"
            finally:
                process.terminate()
