"""File helpers: hash, sync, remove, measure."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mcq_service.model_store.errors import NotEnoughSpace

_BLOCK = 4 << 20
GIB = 1 << 30


def sha256(path: Path, advance: Callable[[int], None] = lambda _count: None) -> str:
    """Return a file's SHA-256 as hex; call `advance` with the number of bytes of each block."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
            advance(len(block))
    return hasher.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file or directory is on the disk, so that a rename never outlives its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a directory tree, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def disk_usage(path: Path) -> int:
    """Return the bytes of disk that a directory's files occupy; 0 if it does not exist."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def total_size(path: Path) -> int:
    """Return the sum of a directory's file sizes in bytes; 0 if it does not exist."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def require_space(directory: Path, needed: int, free: Callable[[Path], int]) -> None:
    """Raise NotEnoughSpace unless `needed` bytes are free on the file system of `directory`."""
    available = free(directory)
    if available < needed:
        raise NotEnoughSpace(
            f"{directory} has {available / GIB:.1f} GiB free and {needed / GIB:.1f} GiB are needed to fetch and "
            "convert the model: free some space, or use a larger volume."
        )


def free_space(directory: Path) -> int:
    """Return the free bytes on the file system of `directory`."""
    return shutil.disk_usage(directory).free
