"""The commands `python -m mcq_operator backup create|list` and `restore`."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO

from kubernetes.aio.config import ConfigException

from mcq_operator.api import Manifest
from mcq_operator.api.base import EXAM_KIND, SOLVER_KIND
from mcq_operator.api.kinds import CONFIG_MAP
from mcq_operator.cli.terminal import write_error, write_line
from mcq_operator.client import Client, ClusterError, RefusedError, connect

from . import archive
from .accepted_objects import validate
from .backup_name import BackupName, choose
from .backup_store import BackupStore
from .creation import create
from .errors import BackupError, CorruptError, PersonNeededError, TryAgainError
from .references import references
from .restore import INCOMPLETE, Restore, RestoreOutcome
from .stored_backups import fetch_verified, list_backups

RETRY, PERSON = 1, 2
"""Exit statuses: a retry may help, or a person must change something first."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        match getattr(arguments, "backup_command", "restore"):
            case "create":
                return asyncio.run(_create(arguments))
            case "list":
                return _list(arguments)
            case _:
                return _restore(arguments)
    except BackupError as error:
        write_error(f"error: {error}")
        return PERSON if isinstance(error, PersonNeededError) else RETRY


async def _create(arguments: argparse.Namespace) -> int:
    store = BackupStore.of(arguments.to, create=True)
    namespace: str = arguments.of_namespace
    try:
        async with await connect(connections=1) as api_client:
            client = Client(api_client)
            backup = await create(
                client, store, namespace=namespace, keep=arguments.keep, now=datetime.now(UTC)
            )
    except (ClusterError, ConfigException) as error:
        raise _error(error, f"Can't back up namespace {namespace}") from error
    write_line(
        f"{store.url}/{backup.name}: {_counts(backup.manifest)}, {backup.size:,} bytes, read back and good"
    )
    write_line(f"To restore it: --digest={backup.name.checksum}")
    for name in backup.deleted:
        write_line(f"{store.url}/{name}: deleted because of --keep={arguments.keep}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    backups = list_backups(BackupStore.of(arguments.source), arguments.of_namespace)
    for each in backups:
        content = f"CORRUPT: {each.problem}" if each.manifest is None else _counts(each.manifest)
        by = f", by operator {each.manifest.operator}" if each.manifest else ""
        write_line(f"{each.name}  {each.name.checksum}  {content}{by}")
    if not backups:
        write_error(f"There is no backup in {arguments.source}.")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    store = BackupStore.of(arguments.source)
    with tempfile.TemporaryFile() as file:
        name = choose(store.names(), arguments.backup, arguments.digest)
        if not (arguments.digest or arguments.trust_store or arguments.dry_run):
            message = (
                f"Nothing proves who wrote {store.url}/{name}: everyone who can write to the store can replace a"
                " backup. Give its --digest, which `backup create` printed into a log that they can't change; or"
                " --trust-store, if only trusted people and programs can write there."
            )
            raise PersonNeededError(message)
        try:
            manifest = fetch_verified(store, name, file)
            restored = [(item["kind"], item["metadata"]["name"]) for item in validate(archive.objects(file))]
        except CorruptError as error:
            raise CorruptError(_refusal(store, name, str(error))) from error
        write_line(f"{store.url}/{name}: {_counts(manifest)}, {name.checksum}")
        namespace = arguments.of_namespace or manifest.namespace
        for kind, object_name in restored:
            write_line(f"  {kind} {namespace}/{object_name}")
        outcomes = asyncio.run(_restore_objects(file, arguments, namespace))
    return PERSON if INCOMPLETE.intersection(outcomes) else 0


async def _restore_objects(
    file: IO[bytes], arguments: argparse.Namespace, namespace: str
) -> list[RestoreOutcome]:
    """Restore a verified backup, and list the objects that it refers to."""
    try:
        async with await connect(connections=1) as api_client:
            client = Client(api_client)
            restore = Restore(
                client,
                namespace=namespace,
                overwrite=arguments.overwrite,
                dry_run=arguments.dry_run,
                report=write_line,
            )
            outcomes = await restore.run(archive.objects(file))
            await _list_references(client, archive.objects(file), namespace)
    except (ClusterError, ConfigException) as error:
        raise _error(error, f"The restore of namespace {namespace} is incomplete") from error
    return outcomes


async def _list_references(client: Client, objects: Iterable[Manifest], namespace: str) -> None:
    """List the objects that the backup needs but lacks. It does not look up Secrets, which may be unreadable."""
    needed = sorted({reference for item in objects for reference in references(item)})
    if not needed:
        return
    write_line(f"\nNamespace {namespace} also needs these objects, which no backup has:")
    for kind, name in needed:
        missing = ""
        if kind == CONFIG_MAP.kind and await client.get(CONFIG_MAP, namespace=namespace, name=name) is None:
            missing = ": MISSING"
        write_line(f"  {kind} {name}{missing}")


def _refusal(store: BackupStore, name: BackupName, problem: str) -> str:
    good = [each.name for each in list_backups(store, name.namespace) if each.manifest]
    other = f"Use the newest good one: --backup={good[-1]}" if good else "This namespace has no good backup"
    return f"{store.url}/{name} is corrupt, so nothing was restored: {problem}. {other}."


def _counts(manifest: archive.BackupManifest) -> str:
    nouns = {SOLVER_KIND: "MCQSolvers", EXAM_KIND: "MCQExams", CONFIG_MAP.kind: "exams' reports"}
    return ", ".join(f"{manifest.count(kind)} {noun}" for kind, noun in nouns.items())


def _error(error: Exception, summary: str) -> BackupError:
    if isinstance(error, RefusedError | ConfigException):
        return PersonNeededError(f"{summary}: {error}")
    return TryAgainError(f"{summary}: {error}. Run it again.")
