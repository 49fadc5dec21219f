"""How a backup's object is named: by its namespace, its time and the SHA-256 of all that is in it."""

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
"""Digits of the digest that people see: two backups may be of one second."""


@dataclass(frozen=True, order=True)
class Name:
    """A backup's name; names of one namespace are ordered by time."""

    namespace: str
    time: str
    digest: str

    @classmethod
    def of(cls, namespace: str, made: datetime, digest: str) -> Self:
        """That of what was made then."""
        return cls(namespace, made.astimezone(UTC).strftime(_TIME), digest)

    @classmethod
    def parse(cls, path: str) -> Self | None:
        """The name that an object has; None for an object that is no backup, which is never touched."""
        found = _PATH.fullmatch(path)
        return cls(**found.groupdict()) if found else None

    @property
    def checksum(self) -> str:
        """The digest as people give it."""
        return f"sha256:{self.digest}"

    @property
    def path(self) -> str:
        """Where the object is, below the store's prefix."""
        return f"{self.namespace}/{self.time}-sha256-{self.digest}.jsonl.gz"

    def begins(self, beginning: str) -> bool:
        """Whether it is meant by the beginning of its name."""
        shown = str(self)
        return any(each.startswith(beginning) for each in (shown, shown.partition("/")[2]))

    def __str__(self) -> str:
        """As people see and give it."""
        return f"{self.namespace}/{self.time}-{self.digest[:_SHOWN]}"


def chosen(names: Iterable[Name], beginning: str | None, checksum: str | None = None) -> Name:
    """The newest backup, or the newest of those whose names begin so, with their namespace or without it.

    Where a checksum is given, only what has it. Raises MissingError where there is none, or where it could be one of
    several namespaces.
    """
    found = [
        name
        for name in names
        if (beginning is None or name.begins(beginning)) and checksum in (None, name.checksum)
    ]
    if not found:
        told = [f"whose name begins with {beginning}"] if beginning else []
        told += [f"with the digest {checksum}"] if checksum else []
        which = f" {' and '.join(told)}: `backup list` shows those that there are" if told else ""
        message = f"There is no backup{which}."
        raise MissingError(message)
    namespaces = sorted({name.namespace for name in found})
    if len(namespaces) > 1:
        message = f"There are backups of {', '.join(namespaces)}: say of which by --backup={namespaces[0]}/"
        raise MissingError(message)
    return max(found)
