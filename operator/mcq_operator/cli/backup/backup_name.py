"""The name of a backup's object: the namespace, the time and the SHA-256 of its content."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from .errors import MissingError

_PATH = re.compile(
    r"(?P<namespace>[a-z0-9][-a-z0-9]*)/(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)-sha256-(?P<digest>[0-9a-f]{64})\.jsonl\.gz"
)
_TIME = "%Y-%m-%dT%H-%M-%SZ"
_SHOWN = 8
"""How many digits of the digest people see. They distinguish backups of the same second."""


@dataclass(frozen=True, order=True)
class BackupName:
    """A backup's name; names of one namespace are ordered by time."""

    namespace: str
    time: str
    digest: str

    @classmethod
    def of(cls, namespace: str, created: datetime, digest: str) -> Self:
        """Return the name of a backup created at that time."""
        return cls(namespace, created.astimezone(UTC).strftime(_TIME), digest)

    @classmethod
    def parse(cls, path: str) -> Self | None:
        """Parse the path of an object; return None if it is not a backup."""
        match = _PATH.fullmatch(path)
        return cls(**match.groupdict()) if match else None

    @property
    def checksum(self) -> str:
        """The digest in the form of the option --digest."""
        return f"sha256:{self.digest}"

    @property
    def path(self) -> str:
        """The object's path below the store's prefix."""
        return f"{self.namespace}/{self.time}-sha256-{self.digest}.jsonl.gz"

    def begins(self, beginning: str) -> bool:
        """Return whether the name, with or without its namespace, begins like this."""
        shown = str(self)
        return any(each.startswith(beginning) for each in (shown, shown.partition("/")[2]))

    def __str__(self) -> str:
        """Return the name for people."""
        return f"{self.namespace}/{self.time}-{self.digest[:_SHOWN]}"


def choose(names: Iterable[BackupName], beginning: str | None, checksum: str | None = None) -> BackupName:
    """Return the newest backup with this beginning of its name, with or without the namespace, and this checksum.

    Raises MissingError if there is none, or if the matches belong to several namespaces.
    """
    matches = [
        name
        for name in names
        if (beginning is None or name.begins(beginning)) and checksum in (None, name.checksum)
    ]
    if not matches:
        criteria = [f"with a name that begins with {beginning}"] if beginning else []
        criteria += [f"with the digest {checksum}"] if checksum else []
        which = f" {' and '.join(criteria)}: `backup list` shows all backups" if criteria else ""
        message = f"There is no backup{which}."
        raise MissingError(message)
    namespaces = sorted({name.namespace for name in matches})
    if len(namespaces) > 1:
        message = f"There are backups of {', '.join(namespaces)}: choose one with --backup={namespaces[0]}/"
        raise MissingError(message)
    return max(matches)
