"""Track which processes use a prepared model, so that no store deletes it: file locks that end with their process.

A process holds a shared lock on the model's configuration while it has the weights mapped. Deleting a model needs an
exclusive lock. The locks are `flock`: they reach all replicas on a node, and those on other nodes if the volume passes
locks on (NFS 4, CephFS). Where locks do not work at all, every model counts as used. A directory's modification time
is the last time its model was acquired.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE = "config.json"  # every model has it, and it is never rewritten


class Lease:
    """One use of a model; it ends with `release`, with the object, or with the process."""

    def __init__(self, descriptor: int) -> None:
        """Own an open, locked descriptor."""
        self._end = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """End the use; calling it again does nothing."""
        self._end()


def acquire(directory: Path) -> Lease | None:
    """Start to use a model; return None if it is gone or being deleted."""
    path = directory / _FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    lease = Lease(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        lease.release()
        return None
    except OSError:
        pass  # the volume has no locks, so no process can lock the model for deleting either
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            _touch(directory)
            return lease
    lease.release()
    return None


@contextmanager
def exclusive(directory: Path) -> Iterator[bool]:
    """Lock an unused model, so that no process starts to use it inside the block; yield False if it is in use."""
    try:
        descriptor = os.open(directory / _FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def last_used(directory: Path) -> float:
    """Return the last time the model was acquired, in seconds since the epoch."""
    return directory.stat().st_mtime


def _touch(directory: Path) -> None:
    with suppress(OSError):  # the directory belongs to another user, or is read-only
        os.utime(directory)
