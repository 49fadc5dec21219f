"""Proof that the Pods of an exam wrote its result.

Results are in ConfigMaps, and other clients may have the right to change those. So each Pod states the digests of its
results in its termination message, which only the kubelet writes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mcq_eval.errors import ResultUnreadable

TERMINATION_LOG = Path("/dev/termination-log")
"""The file that the kubelet copies into the Pod's status as the container's termination message."""


def write_termination_message(part: str, result: str | None) -> None:
    """Write the Pod's termination message: the digest of its part, and of the result if it wrote one."""
    TERMINATION_LOG.write_text(json.dumps({"part": part, "result": result}))


def digest(content: bytes) -> str:
    """Return the content's digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_verified(path: Path, expected: str) -> bytes:
    """Return the content of a file. Raises OSError, or ResultUnreadable if it has another digest."""
    content = path.read_bytes()
    if digest(content) != expected:
        raise ResultUnreadable(f"{path} was changed: it is not the file that the Pods of that exam wrote.")
    return content
