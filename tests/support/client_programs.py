"""The programs of docs/clients.md, run against a service."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/clients.md"
PROGRAMS = dict(
    zip(
        ("chat", "openai", "langchain", "typesafe"),
        re.findall("```python\n(.*?)```", PAGE.read_text(), re.DOTALL),
        strict=True,
    )
)
LOCALHOST = """
import socket
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **options: [
    address
    for name in (("127.0.0.1", "::1") if ".localhost" in str(host) else (host,))
    for address in resolve(name, *more, **options)
]
"""
"""*.localhost is this machine, with IPv4 and IPv6, as in browsers; the C library may not know it."""


def check(name: str, url: str, *, key: str = "-") -> None:
    """Run a program against the service. Each asks which team should answer."""
    program = PROGRAMS[name].replace("http://127.0.0.1:8000", url).replace('api_key="-"', f'api_key="{key}"')
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOCALHOST + program],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "billing" in done.stdout
