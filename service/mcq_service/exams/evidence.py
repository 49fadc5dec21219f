"""Proof that a result is what an exam's Pods wrote.

Results are in ConfigMaps, which others may have the right to change. So each Pod states the digests of what it wrote
in its termination message: only the kubelet writes that.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mcq_service.exams.errors import ResultUnreadable

TERMINATION_LOG = Path("/dev/termination-log")
"""The file whose content the kubelet makes the termination message of the Pod's container."""


def state(part: str, result: str | None) -> None:
    """Write the Pod's termination message: the digest of its part, and of the result if it has written one."""
    TERMINATION_LOG.write_text(json.dumps({"part": part, "result": result}))


def digest(content: bytes) -> str:
    """The content's digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def checked(path: Path, expected: str) -> bytes:
    """The content of a file that has this digest. Raises ResultUnreadable for another one, OSError."""
    content = path.read_bytes()
    if digest(content) != expected:
        raise ResultUnreadable(f"{path} is not what the Pods of that exam wrote.")  # noqa: EM102
    return content
