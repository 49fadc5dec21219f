"""Creates a backup: collects, writes and reads it back, then deletes surplus backups."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from mcq_operator.client import Client

from .archive import BackupManifest, Writer, digest
from .backup_name import BackupName
from .backup_store import BackupStore
from .contents import namespace_contents
from .errors import CorruptError, MissingError, PersonNeededError
from .stored_backups import fetch_verified


@dataclass(frozen=True, kw_only=True)
class NewBackup:
    """A new backup, and the old ones that were deleted after it."""

    name: BackupName
    manifest: BackupManifest
    size: int
    deleted: list[BackupName]


async def create(
    client: Client, store: BackupStore, *, namespace: str, keep: int | None, now: datetime
) -> NewBackup:
    """Back the namespace up, and keep its last `keep` good backups. Raises BackupError, ClusterError."""
    with tempfile.TemporaryFile() as file:
        manifest = await _collect(client, file, namespace=namespace, now=now)
        name = BackupName.of(namespace, now, digest(file))
        size = file.seek(0, 2)
        store.put(name, file)
        # Read the new backup before deleting old ones.
        fetch_verified(store, name, file)
        deleted = _delete_surplus(store, name, keep=keep, file=file) if keep else []
    return NewBackup(name=name, manifest=manifest, size=size, deleted=deleted)


async def _collect(client: Client, file: IO[bytes], *, namespace: str, now: datetime) -> BackupManifest:
    try:
        writer = Writer(file, namespace=namespace, created=now.isoformat(timespec="seconds"))
        async for item in namespace_contents(client, namespace):
            writer.add(item)
        if not writer.manifest.objects:
            # Empty backups would eventually replace the good ones.
            message = (
                f"Namespace {namespace} has no MCQSolver and no MCQExam, so there is no backup. Check the namespace,"
                " the cluster, and that the operator's CRDs are installed."
            )
            raise PersonNeededError(message)
        writer.close()
    except OSError as error:
        message = f"Can't write the backup to {tempfile.gettempdir()}: {error.strerror}. Make room there."
        raise PersonNeededError(message) from error
    return writer.manifest


def _delete_surplus(store: BackupStore, new: BackupName, *, keep: int, file: IO[bytes]) -> list[BackupName]:
    """Delete and return the backups older than the last `keep` good ones. Corrupt backups don't count as good."""
    good, deleted = 1, []
    for name in reversed(store.names(new.namespace)):
        if name == new:
            continue
        if good < keep:
            try:
                fetch_verified(store, name, file)
            except (CorruptError, MissingError):
                continue
            good += 1
        else:
            store.delete(name)
            deleted.append(name)
    return deleted
