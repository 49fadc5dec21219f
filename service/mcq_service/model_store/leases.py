"""Who uses which prepared model, so that nobody deletes it: locks that end with the process that holds them.

A user holds a shared lock on the model's configuration for as long as it has the weights mapped; who wants to delete a
model needs that lock alone. It is `flock`, which reaches all replicas on a node, and those on other nodes where the
volume passes locks on (NFS 4, CephFS). Where it doesn't work at all, every model counts as used. A directory's time is
when its model was taken into use last.
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

_FILE = "config.json"  # every model has it, and it is never written again


class Lease:
    """One use of a model; it ends by `release`, with the object, or with the process."""

    def __init__(self, descriptor: int) -> None:
        """Own an open descriptor that is locked."""
        self._end = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """End the use; more than once is fine."""
        self._end()


def take(directory: Path) -> Lease | None:
    """Begin to use a model; None where it is not there any more, or is being deleted."""
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
        pass  # no locks on this volume: then nobody can take the lock that deleting needs either
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            _touch(directory)
            return lease
    lease.release()
    return None


@contextmanager
def unused(directory: Path) -> Iterator[bool]:
    """Whether nobody uses a model, and nobody begins to while the block runs."""
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
    """When it was taken into use last, in seconds since the epoch."""
    return directory.stat().st_mtime


def _touch(directory: Path) -> None:
    with suppress(OSError):  # someone else's directory, or one that can't be written
        os.utime(directory)
