"""A new backup: taken, written, read back; then those that are too many are deleted."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from mcq_operator.kube import Api

from .archive import Contents, Writer, digest, verified
from .errors import CorruptError, FullError, MissingError, NothingToKeepError
from .names import Name
from .store import Store
from .taking import contents


@dataclass(frozen=True, kw_only=True)
class Made:
    """A new backup, and those that it took the place of."""

    name: Name
    contents: Contents
    size: int
    deleted: list[Name]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A backup, and what is in it or why it is none."""

    name: Name
    contents: Contents | None = None
    problem: str = ""


async def create(api: Api, store: Store, *, namespace: str, keep: int | None, now: datetime) -> Made:
    """Back the namespace up; of its good backups the last `keep` stay. Raises BackupError, ClusterError."""
    with tempfile.TemporaryFile() as file:
        told = await _taken(api, file, namespace=namespace, now=now)
        name = Name.of(namespace, now, digest(file))
        size = file.seek(0, 2)
        store.put(name, file)
        # Nothing is deleted for the sake of one that can't be read.
        opened(store, name, file)
        deleted = _retained(store, name, keep=keep, file=file) if keep else []
    return Made(name=name, contents=told, size=size, deleted=deleted)


def listed(store: Store, namespace: str | None) -> list[Listed]:
    """Every backup, read whole, as only so it is known to be good. Raises BackupError."""
    found = []
    with tempfile.TemporaryFile() as file:
        for name in store.names(namespace):
            try:
                found.append(Listed(name=name, contents=opened(store, name, file)))
            except MissingError:  # deleted since it was listed
                continue
            except CorruptError as error:
                found.append(Listed(name=name, problem=str(error)))
    return found


def opened(store: Store, name: Name, file: IO[bytes]) -> Contents:
    """Fetch a backup into `file`, and verify it. Raises BackupError, CorruptError where it is not what was written."""
    store.get(name, file)
    return verified(file, of=name.digest)


async def _taken(api: Api, file: IO[bytes], *, namespace: str, now: datetime) -> Contents:
    try:
        writer = Writer(file, namespace=namespace, created=now.isoformat(timespec="seconds"))
        async for item in contents(api, namespace):
            writer.add(item)
        if not writer.contents.objects:
            # An empty one would, by and by, take the place of the good ones.
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


def _retained(store: Store, new: Name, *, keep: int, file: IO[bytes]) -> list[Name]:
    """Delete what is older than the last `keep` good backups; one that is corrupt takes no good one's place."""
    good, gone = 1, []
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
            gone.append(name)
    return gone
