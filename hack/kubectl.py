"""kubectl as a function."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


class KubectlError(Exception):
    """kubectl failed; the message is its output."""


def wait_established(kubectl: Callable[..., str], crds: Iterable[str], *, seconds: float = 60) -> None:
    """Wait until the API server serves these CRDs. Raises KubectlError.

    `kubectl wait` fails at once on a new CRD that has no conditions yet.
    """
    until = time.monotonic() + seconds
    for crd in crds:
        while not _established(json.loads(kubectl("get", "crd", crd, "--output", "json"))):
            if time.monotonic() > until:
                raise KubectlError(f"The API server does not serve {crd} within {seconds:.0f} s.")
            time.sleep(0.2)


def _established(crd: dict[str, Any]) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 660) -> str:
        """Run kubectl and return its stdout. Raises KubectlError with its output, or after `timeout` seconds."""
        try:
            done = subprocess.run(
                [self.program, *arguments],
                env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
                input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"No answer in {timeout:g} s from kubectl {' '.join(arguments)}") from error
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    @contextmanager
    def forward(self, namespace: str, service: str, port: int | str) -> Iterator[str]:
        """Forward a Service's port to this machine during the block; yield its URL. Raises KubectlError.

        The connection goes through the kubelet, past network policies and closed ports.
        """
        command = ["--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
        readers: list[Thread] = []
        with subprocess.Popen(
            [self.program, *command], env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout  # set by PIPE
            assert process.stderr  # set by PIPE
            try:
                address = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
                if not address:
                    raise KubectlError(process.stderr.read().strip())
                # kubectl prints a line for each connection, and stops when a pipe is full.
                for output in (process.stdout, process.stderr):
                    readers.append(Thread(target=deque, args=(output, 0)))
                    readers[-1].start()
                yield f"http://{address[1]}"
            finally:
                process.terminate()
                for reader in readers:
                    reader.join()
