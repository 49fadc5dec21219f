"""kubectl as a function, on a program in its place."""

import time
from pathlib import Path

import pytest
from hack.kubectl import Kubectl, KubectlError


def program(directory: Path, script: str) -> Kubectl:
    """Return kubectl with a shell script as its program."""
    path = directory / "kubectl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Kubectl(path, directory / "kubeconfig")


def test_a_forward_survives_thousands_of_connections(tmp_path: Path) -> None:
    """Kubectl prints a line for each; nobody needs them, but a full pipe would stop it."""
    done = tmp_path / "done"
    kubectl = program(
        tmp_path,
        f"""echo "Forwarding from 127.0.0.1:4242 -> 80"
        for stream in 1 2; do yes "Handling connection for 4242" | head -n 20000 >&$stream; done
        touch {done}; sleep 60 & trap "kill $!" TERM; wait""",
    )
    with kubectl.forward("space", "service", 80) as url:
        assert url == "http://127.0.0.1:4242"
        deadline = time.monotonic() + 20
        while not done.exists():
            assert time.monotonic() < deadline, "kubectl waits for a reader of its output"
            time.sleep(0.01)


def test_a_forward_that_fails_has_kubectls_message(tmp_path: Path) -> None:
    kubectl = program(tmp_path, "echo 'services \"none\" not found' >&2; exit 1")
    with pytest.raises(KubectlError, match='services "none" not found'), kubectl.forward("space", "none", 80):
        raise AssertionError
