"""Creates a backup: collects, writes and reads it back, then deletes surplus backups."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from mcq_operator.client import Api

from .archive import Contents, Writer, digest, verified
from .backup_name import Name
from .backup_store import Store
from .contents import contents
from .errors import CorruptError, FullError, MissingError, NothingToKeepError


@dataclass(frozen=True, kw_only=True)
class Made:
    """A new backup, and the old ones that were deleted after it."""

    name: Name
    contents: Contents
    size: int
    deleted: list[Name]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A backup, with its manifest or the reason why it is corrupt."""

    name: Name
    contents: Contents | None = None
    problem: str = ""


async def create(api: Api, store: Store, *, namespace: str, keep: int | None, now: datetime) -> Made:
    """Back the namespace up, and keep its last `keep` good backups. Raises BackupError, ClusterError."""
    with tempfile.TemporaryFile() as file:
        manifest = await _collect(api, file, namespace=namespace, now=now)
        name = Name.of(namespace, now, digest(file))
        size = file.seek(0, 2)
        store.put(name, file)
        # Read the new backup before deleting old ones.
        opened(store, name, file)
        deleted = _delete_surplus(store, name, keep=keep, file=file) if keep else []
    return Made(name=name, contents=manifest, size=size, deleted=deleted)


def listed(store: Store, namespace: str | None) -> list[Listed]:
    """Return every backup. Read each as a whole: only that shows that it is good. Raises BackupError."""
    backups = []
    with tempfile.TemporaryFile() as file:
        for name in store.names(namespace):
            try:
                backups.append(Listed(name=name, contents=opened(store, name, file)))
            except MissingError:  # deleted since the listing
                continue
            except CorruptError as error:
                backups.append(Listed(name=name, problem=str(error)))
    return backups


def opened(store: Store, name: Name, file: IO[bytes]) -> Contents:
    """Fetch a backup into `file`, and verify it. Raises BackupError: CorruptError if the backup is damaged."""
    store.get(name, file)
    return verified(file, of=name.digest)


async def _collect(api: Api, file: IO[bytes], *, namespace: str, now: datetime) -> Contents:
    try:
        writer = Writer(file, namespace=namespace, created=now.isoformat(timespec="seconds"))
        async for item in contents(api, namespace):
            writer.add(item)
        if not writer.contents.objects:
            # Empty backups would eventually replace the good ones.
            message = (
                f"Namespace {namespace} has no MCQSolver and no MCQExam, so no backup was made: is it the right"
                " one, of the right cluster, and are the operator's CRDs installed?"
            )
            raise NothingToKeepError(message)
        writer.close()
    except OSError as error:
        message = (
            f"The backup can't be put together in {tempfile.gettempdir()}: {error.strerror}. Make room there."
        )
        raise FullError(message) from error
    return writer.contents


def _delete_surplus(store: Store, new: Name, *, keep: int, file: IO[bytes]) -> list[Name]:
    """Delete and return the backups older than the last `keep` good ones. Corrupt backups don't count as good."""
    good, deleted = 1, []
    for name in reversed(store.names(new.namespace)):
        if name == new:
            continue
        if good < keep:
            try:
                opened(store, name, file)
            except (CorruptError, MissingError):
                continue
            good += 1
        else:
            store.delete(name)
            deleted.append(name)
    return deleted
