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
from mcq_operator.cli.terminal import complain, say
from mcq_operator.client import Api, ClusterError, RefusedError, connect

from . import archive
from .backup_name import Name, chosen
from .backup_store import Store
from .creation import create, listed, opened
from .errors import (
    BackupError,
    CorruptError,
    DigestNeededError,
    PersonNeededError,
    RefusedByClusterError,
    TryAgainError,
)
from .references import references
from .restore import LACKING, Fate, Restore
from .validation import accepted

AGAIN, PERSON = 1, 2
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
        complain(f"error: {error}")
        return PERSON if isinstance(error, PersonNeededError) else AGAIN


async def _create(arguments: argparse.Namespace) -> int:
    store = Store.of(arguments.to, make=True)
    namespace: str = arguments.of_namespace
    try:
        async with await connect(connections=1) as client:
            api = Api(client, wrote=lambda *_: None)
            backup = await create(api, store, namespace=namespace, keep=arguments.keep, now=datetime.now(UTC))
    except (ClusterError, ConfigException) as error:
        raise _error(error, f"Namespace {namespace} can't be backed up") from error
    say(f"{store.url}/{backup.name}: {_counts(backup.contents)}, {backup.size:,} bytes, read back and good")
    say(f"To restore it: --digest={backup.name.checksum}")
    for name in backup.deleted:
        say(f"{store.url}/{name}: deleted, as --keep={arguments.keep} asks")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    backups = listed(Store.of(arguments.source), arguments.of_namespace)
    for each in backups:
        content = f"CORRUPT: {each.problem}" if each.contents is None else _counts(each.contents)
        by = f", by operator {each.contents.operator}" if each.contents else ""
        say(f"{each.name}  {each.name.checksum}  {content}{by}")
    if not backups:
        complain(f"There is no backup in {arguments.source}.")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    store = Store.of(arguments.source)
    with tempfile.TemporaryFile() as file:
        name = chosen(store.names(), arguments.backup, arguments.digest)
        if not (arguments.digest or arguments.trust_store or arguments.dry_run):
            message = (
                f"Is {store.url}/{name} the backup that was made? Whoever can write to the store could have put it"
                " there. Give its --digest, which `backup create` printed into a log that they can't change; or"
                " --trust-store, if nobody else writes there."
            )
            raise DigestNeededError(message)
        try:
            contents = opened(store, name, file)
            restored = [(item["kind"], item["metadata"]["name"]) for item in accepted(archive.objects(file))]
        except CorruptError as error:
            raise CorruptError(_refusal(store, name, str(error))) from error
        say(f"{store.url}/{name}: {_counts(contents)}, {name.checksum}")
        namespace = arguments.of_namespace or contents.namespace
        for kind, object_name in restored:
            say(f"  {kind} {namespace}/{object_name}")
        fates = asyncio.run(_restored(file, arguments, namespace))
    return PERSON if LACKING.intersection(fates) else 0


async def _restored(file: IO[bytes], arguments: argparse.Namespace, namespace: str) -> list[Fate]:
    """Restore a verified backup, and list the objects that it refers to."""
    try:
        async with await connect(connections=1) as client:
            api = Api(client, wrote=lambda *_: None)
            restore = Restore(
                api,
                namespace=namespace,
                overwrite=arguments.overwrite,
                dry_run=arguments.dry_run,
                say=say,
            )
            fates = await restore.run(archive.objects(file))
            await _list_references(api, archive.objects(file), namespace)
    except (ClusterError, ConfigException) as error:
        raise _error(error, f"Namespace {namespace} is not restored, or only in part") from error
    return fates


async def _list_references(api: Api, objects: Iterable[Manifest], namespace: str) -> None:
    """List the objects that the backup needs but lacks. It does not look up Secrets, which may be unreadable."""
    needed = sorted({reference for item in objects for reference in references(item)})
    if not needed:
        return
    say(f"\nNot in a backup, and needed in namespace {namespace}:")
    for kind, name in needed:
        missing = ""
        if kind == CONFIG_MAP.kind and await api.get(CONFIG_MAP, namespace=namespace, name=name) is None:
            missing = ": MISSING"
        say(f"  {kind} {name}{missing}")


def _refusal(store: Store, name: Name, problem: str) -> str:
    good = [each.name for each in listed(store, name.namespace) if each.contents]
    other = (
        f"The newest good one is --backup={good[-1]}" if good else "There is no good one of this namespace"
    )
    return f"{store.url}/{name} is corrupt, and nothing was restored from it: {problem}. {other}."


def _counts(contents: archive.Contents) -> str:
    nouns = {SOLVER_KIND: "MCQSolvers", EXAM_KIND: "MCQExams", CONFIG_MAP.kind: "exams' reports"}
    return ", ".join(f"{contents.count(kind)} {noun}" for kind, noun in nouns.items())


def _error(error: Exception, summary: str) -> BackupError:
    if isinstance(error, RefusedError | ConfigException):
        return RefusedByClusterError(f"{summary}: {error}")
    return TryAgainError(f"{summary}: {error}. Run it again.")
