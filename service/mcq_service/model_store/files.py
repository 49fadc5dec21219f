"""Files: hash, sync, space."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mcq_service.model_store.errors import NotEnoughSpace

_BLOCK = 4 << 20
GIB = 1 << 30


def sha256(path: Path, advance: Callable[[int], None] = lambda _count: None) -> str:
    """The SHA-256 of a file as hex; `advance` is told the number of bytes read, block by block."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
            advance(len(block))
    return hasher.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file or directory is on the disk, so that a rename never outlives what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a directory tree, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def occupied(path: Path) -> int:
    """Bytes of disk that a directory's files occupy; 0 where there is none."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def size(path: Path) -> int:
    """Bytes that a directory's files have; 0 where there is none."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def require_space(directory: Path, needed: int, free: Callable[[Path], int]) -> None:
    """Raise NotEnoughSpace unless `needed` bytes are free where `directory` is."""
    available = free(directory)
    if available < needed:
        msg = (
            f"{directory} has {available / GIB:.1f} GiB free and {needed / GIB:.1f} GiB are needed to fetch "
            "convert the model: free some space, or use a larger volume."
        )
        raise NotEnoughSpace(msg)


def free_space(directory: Path) -> int:
    """Bytes free on the file system of `directory`."""
    return shutil.disk_usage(directory).free
