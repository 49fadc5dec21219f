"""A real S3 server: rclone serves a local folder whose subfolders are the buckets."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket

import pytest
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

KEYS = ("reader", "not-so-secret")


@contextmanager
def s3_server(folder: Path, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the folder during the block to clients with KEYS; yield the URL."""
    tools = Tools(CACHE, Progress(quiet=True))
    tools.build(["rclone"])
    with socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    address = ["--addr", f"{host}:{port}", "--auth-key", ",".join(KEYS)]
    fresh = ["--dir-cache-time", "0s"]  # shows a test's changes to the folder at once
    command = [str(tools.binary("rclone")), "serve", "s3", *address, *fresh, str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_until_it_listens(host, port)
            yield f"http://{host}:{port}"
        finally:
            server.terminate()


def _wait_until_it_listens(host: str, port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            create_connection((host, port), 1).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return


def variables(url: str, *, keys: tuple[str, str] = KEYS) -> dict[str, str]:
    """Return the environment variables of a client of the server."""
    return {
        "AWS_ACCESS_KEY_ID": keys[0],
        "AWS_SECRET_ACCESS_KEY": keys[1],
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }


def only_variables(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Set this process's AWS_* variables to those of a client of the server."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in variables(url).items():
        monkeypatch.setenv(name, value)
