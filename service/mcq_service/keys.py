"""The API keys that clients may use, each with a name, read from a mounted Secret and read again when it changes.

MCQ_API_KEYS_FILE names one of two things:

- a file, a YAML map with one `name: key` a line;
- a directory, as Kubernetes mounts a Secret: one file a key, named as the key is, with the key in it.

Only SHA-256 digests are kept, and neither a key nor a part of one is ever logged.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MIN_CHARACTERS = 16
POLL_SECONDS = 1.0
_MAX_BYTES = 1024 * 1024
_NAME = re.compile(r"[-._a-zA-Z0-9]{1,253}")  # what Kubernetes allows as a key of a Secret
_KEY = re.compile(rf"(?=.{{{MIN_CHARACTERS}}})[-._~+/a-zA-Z0-9]+=*")  # what RFC 6750 lets a client send
_SWAPPED = "..data"  # the link that the kubelet turns over when a Secret changes

_log = logging.getLogger(__name__)


class InvalidKeys(Exception):  # noqa: N818 - says what is wrong
    """The keys can't be read; the message says where and why, and never has a key in it."""


class _Entry(NamedTuple):
    name: str
    digest: bytes


class Keys:
    """The keys of one replica, at most `POLL_SECONDS` older than what is mounted.

    None at all refuses everybody. What can't be read or is invalid leaves the last good keys in force.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys; raises InvalidKeys. `clock` is in seconds."""
        self._path, self._clock = path, clock
        self._seen = _stamp(path)
        self._entries = _read(path)
        self._looked = clock()
        self._complaint = ""

    @property
    def names(self) -> list[str]:
        """The keys' names, sorted."""
        return sorted(entry.name for entry in self._entries)

    def name_of(self, key: str) -> str | None:
        """Whose key it is, None if nobody's; takes as long for the one as for the other."""
        self._refresh()
        digest = _digest(key)
        found: str | None = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry.name
        return found

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        try:
            stamp = _stamp(self._path)
            if stamp == self._seen and not self._complaint:
                return
            self._entries = _read(self._path)
        except InvalidKeys as error:
            if str(error) != self._complaint:
                _log.error("the API keys stay as they were: %s", error)
            self._complaint = str(error)
            return
        self._seen, self._complaint = stamp, ""
        _log.info("API keys: %s", ", ".join(self.names) or "none")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _stamp(path: Path) -> object:
    """What differs when the keys may have changed; raises InvalidKeys where there is nothing."""
    try:
        files = _files(path) if path.is_dir() else [path]
        return [
            (str(file), (found := file.stat()).st_ino, found.st_mtime_ns, found.st_size) for file in files
        ]
    except OSError as error:
        raise InvalidKeys(f"{path}: {error.strerror}.") from None  # noqa: EM102


def _files(directory: Path) -> list[Path]:
    """One file a key; those of one version of the Secret, even while the kubelet swaps it for the next."""
    swapped = directory / _SWAPPED
    version = swapped.resolve(strict=True) if swapped.is_symlink() else directory
    return sorted(file for file in version.iterdir() if not file.name.startswith("..") and file.is_file())


def _read(path: Path) -> tuple[_Entry, ...]:
    try:
        pairs = _of_directory(path) if path.is_dir() else _of_file(path)
        return _entries(pairs)
    except OSError as error:
        raise InvalidKeys(f"{path}: {error.strerror}.") from None  # noqa: EM102


def _entries(pairs: Iterable[tuple[str, str, str]]) -> tuple[_Entry, ...]:
    """Check and digest `(where, name, key)`."""
    names: dict[bytes, str] = {}
    for where, name, key in pairs:
        if not _NAME.fullmatch(name):
            raise InvalidKeys(f"{where}: a key's name has letters, digits, '-', '_' and '.' only.")  # noqa: EM102
        if not _KEY.fullmatch(key):
            raise InvalidKeys(
                f"{where}: the key {name} must have at least {MIN_CHARACTERS} characters, of letters, digits and "  # noqa: EM102
                "-._~+/ (make one with: openssl rand -hex 32)."
            )
        if name in names.values():
            raise InvalidKeys(f"{where}: there are two keys with the name {name}.")  # noqa: EM102
        if (other := names.setdefault(_digest(key), name)) != name:
            raise InvalidKeys(f"{where}: {other} and {name} have the same key.")  # noqa: EM102
    return tuple(_Entry(name, digest) for digest, name in names.items())


def _of_directory(directory: Path) -> Iterator[tuple[str, str, str]]:
    for file in _files(directory):
        yield str(directory / file.name), file.name, _text(file).strip()


def _of_file(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        found = yaml.compose(_text(path), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        # Without the parser's words: they quote the text.
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InvalidKeys(f"{path}{line}: it is not YAML.") from None  # noqa: EM102
    if found is None:
        return
    if not isinstance(found, yaml.MappingNode):
        raise InvalidKeys(f"{path}: it is not a map, with one `name: key` a line.")  # noqa: EM102
    for name, key in found.value:
        where = f"{path}, line {name.start_mark.line + 1}"
        if not (isinstance(name, yaml.ScalarNode) and isinstance(key, yaml.ScalarNode)):
            raise InvalidKeys(f"{where}: it is not `name: key`.")  # noqa: EM102
        yield where, name.value, key.value


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        data = opened.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise InvalidKeys(f"{file}: it has more than {_MAX_BYTES} bytes.")  # noqa: EM102
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidKeys(f"{file}: it is not UTF-8 text.") from None  # noqa: EM102
