"""Reads stored backups, and verifies each."""

import tempfile
from dataclasses import dataclass
from typing import IO

from .archive import BackupManifest, verify
from .backup_name import BackupName
from .backup_store import BackupStore
from .errors import CorruptError, MissingError


@dataclass(frozen=True, kw_only=True)
class ListedBackup:
    """A backup, with its manifest or the reason why it is corrupt."""

    name: BackupName
    manifest: BackupManifest | None = None
    problem: str = ""


def list_backups(store: BackupStore, namespace: str | None) -> list[ListedBackup]:
    """Return every backup. Read each as a whole: only that shows that it is good. Raises BackupError."""
    backups = []
    with tempfile.TemporaryFile() as file:
        for name in store.names(namespace):
            try:
                backups.append(ListedBackup(name=name, manifest=fetch_verified(store, name, file)))
            except MissingError:  # deleted since the listing
                continue
            except CorruptError as error:
                backups.append(ListedBackup(name=name, problem=str(error)))
    return backups


def fetch_verified(store: BackupStore, name: BackupName, file: IO[bytes]) -> BackupManifest:
    """Fetch a backup into `file`, and verify it. Raises BackupError: CorruptError if the backup is damaged."""
    store.get(name, file)
    return verify(file, of=name.digest)
