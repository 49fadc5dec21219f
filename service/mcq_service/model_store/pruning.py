"""Delete unused models from a store that exceeds its limit or needs space for another model."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from mcq_service.model_store import files, leases, model_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)


class Pruner:
    """Deletes the least recently used models of a store, but never one in use."""

    def __init__(
        self, root: Path, work: Path, *, limit: int | None, free_space: Callable[[Path], int]
    ) -> None:
        """Prune the models in `root` above `limit` bytes; `work` is a directory on the same file system."""
        self._root, self._work = root, work
        self._limit = limit
        self._free_space = free_space

    def prune_if_free(self) -> None:
        """Prune, unless another process holds the lock (and prunes itself) or the store can't be written."""
        if self._limit is None:
            return
        try:
            # Another process may be deleting what this one measures.
            if self._size() <= self._limit:
                return
            with FileLock(self._root / ".lock", mode=0o664, timeout=0):
                self.prune()
        except (OSError, Timeout) as error:
            _log.info("the model cache exceeds its limit and can't be pruned now: %s", error)

    def prune(self) -> None:
        """Delete unused models until the store is within its limit; the lock is held."""
        if self._limit is not None:
            limit = self._limit
            self._delete_unused(lambda: self._size() <= limit)

    def make_room(self, needed: int) -> None:
        """Delete unused models until `needed` bytes are free; the lock is held. Raises NotEnoughSpace."""
        self._delete_unused(lambda: self._free_space(self._root) >= needed)
        files.require_space(self._root, needed, self._free_space)

    def _delete_unused(self, enough: Callable[[], bool]) -> None:
        """Delete unused models, the least recently used first, until `enough` returns True."""
        for directory in sorted(self._models(), key=leases.last_used):
            if enough():
                return
            with leases.exclusive(directory) as unused:
                if not unused:
                    continue
                size, used = files.disk_usage(directory), leases.last_used(directory)
                deleted = self._work / f"{directory.name}.deleted"
                self._work.mkdir(exist_ok=True)
                files.remove(deleted)
                directory.rename(deleted)  # from now on no process finds it
            files.remove(deleted)
            _log.warning(
                "deleted the model %s from the cache %s: unused since %s, %.2f GiB",
                directory.name,
                self._root,
                datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
                size / files.GIB,
            )

    def _models(self) -> list[Path]:
        """Return the prepared models. Those of other releases have another manifest and are left alone."""
        return [
            path.parent
            for path in self._root.glob(f"*/{model_manifest.NAME}")
            if model_manifest.read(path.parent)
        ]

    def _size(self) -> int:
        return sum(files.disk_usage(directory) for directory in self._models())
