"""The clients' API keys, each with a name, from a mounted Secret; they are read again when it changes.

MCQ_API_KEYS_FILE names one of two things:

- a file: a YAML map with one `name: key` on each line;
- a directory, as Kubernetes mounts a Secret: one file for each key, with the name of the key.

Only the mounted keys count. A key that was removed or became invalid stops working with the next check, whatever is
wrong with the others. An invalid entry disables only its own key. A missing or unreadable file lets no client in.

Only SHA-256 digests are kept, and no key or part of a key is ever logged.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MIN_CHARACTERS = 16
POLL_SECONDS = 1.0
_MAX_BYTES = 1024 * 1024
_FAULTS_LOGGED = 20
_ATTEMPTS = 3
_NAME = re.compile(r"[-._a-zA-Z0-9]{1,253}")  # Kubernetes' rule for the keys of a Secret
_KEY = re.compile(rf"(?=.{{{MIN_CHARACTERS}}})[-._~+/a-zA-Z0-9]+=*")  # what RFC 6750 lets a client send
_SWAPPED = "..data"  # the link that the kubelet replaces when a Secret changes

_log = logging.getLogger(__name__)


class InvalidKeys(Exception):
    """No key can be used; the message says where and why, and never contains a key."""


class _Pair(NamedTuple):
    """A name and a key as written, and their place in the file."""

    where: str
    name: str
    key: str


_Line: TypeAlias = _Pair | str
"""A pair, or a description of the error in its place."""
_Entries: TypeAlias = dict[bytes, str]
"""The names of the usable keys, by digest."""
_Faults: TypeAlias = tuple[str, ...]


class ApiKeys:
    """The keys of one replica, at most `POLL_SECONDS` behind the mounted ones. Without keys, no client gets in."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys. Raises InvalidKeys if there is a fault and no usable key.

        `clock` is in seconds.
        """
        self._path, self._clock = path, clock
        self._checked_at = clock()
        self._stamp, self._entries, self._faults = _read_consistently(path)
        if self._faults and not self._entries:
            raise InvalidKeys(self._faults[0])
        self._log()

    @property
    def accepted(self) -> int:
        """The number of usable keys."""
        self._refresh()
        return len(self._entries)

    @property
    def faults(self) -> int:
        """The number of unusable entries; the log has them. An unreadable file or directory counts as one."""
        self._refresh()
        return len(self._faults)

    @property
    def names(self) -> list[str]:
        """The keys' names, sorted."""
        self._refresh()
        return sorted(self._entries.values())

    def name_of(self, key: str) -> str | None:
        """Return the name of a key, None if it is unknown. Takes the same time either way."""
        self._refresh()
        digest = _digest(key)
        name: str | None = None
        for known, its_name in self._entries.items():
            if hmac.compare_digest(known, digest):
                name = its_name
        return name

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._checked_at < POLL_SECONDS:
            return
        self._checked_at = now
        if _stamp(self._path) == self._stamp:
            return
        before = set(self._entries.values())
        self._stamp, self._entries, self._faults = _read_consistently(self._path)
        if gone := sorted(before - set(self._entries.values())):
            _log.warning("API keys that are no longer accepted: %s", ", ".join(gone))
        self._log()

    def _log(self) -> None:
        """Log the keys' names and the faults, once for each change of the file."""
        for fault in self._faults[:_FAULTS_LOGGED]:
            _log.error("an API key can't be used: %s", fault)
        if (rest := len(self._faults) - _FAULTS_LOGGED) > 0:
            _log.error("%d more API keys can't be used", rest)
        _log.info("API keys: %s", ", ".join(sorted(self._entries.values())) or "none")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _stamp(path: Path) -> object:
    """Return a value that differs if the keys may have changed; for an unreadable file, the error."""
    try:
        files = _files(path) if path.is_dir() else [path]
        return [
            (str(file), (stat := file.stat()).st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
            for file in files
        ]
    except OSError as error:
        return error.errno


def _files(directory: Path) -> list[Path]:
    """Return the keys' files, all of one version of the Secret, even while the kubelet replaces it."""
    swapped = directory / _SWAPPED
    version = swapped.resolve(strict=True) if swapped.is_symlink() else directory
    return sorted(file for file in version.iterdir() if not file.name.startswith("..") and file.is_file())


def _read_consistently(path: Path) -> tuple[object, _Entries, _Faults]:
    """Read the keys with their stamp; read again if the kubelet replaced files meanwhile."""
    for _ in range(_ATTEMPTS):
        stamp = _stamp(path)
        entries, faults = _read(path)
        if _stamp(path) == stamp:
            break
    return stamp, entries, faults


def _read(path: Path) -> tuple[_Entries, _Faults]:
    """Return the usable keys, and the faults of the others."""
    try:
        return _checked(list(_of_directory(path) if path.is_dir() else _of_file(path)))
    except OSError as error:
        return {}, (f"{path}: {error.strerror}.",)


def _checked(lines: Iterable[_Line]) -> tuple[_Entries, _Faults]:
    """Return the pairs that are valid alone and together, and the faults.

    Two keys with one name, or two names for one key, are ambiguous: neither is accepted.
    """
    faults: list[str] = []
    by_name: dict[str, list[_Pair]] = defaultdict(list)
    by_key: dict[bytes, list[_Pair]] = defaultdict(list)
    for line in lines:
        if isinstance(line, str):
            faults.append(line)
        elif not _NAME.fullmatch(line.name):
            faults.append(f"{line.where}: a key's name has letters, digits, '-', '_' and '.' only.")
        else:
            by_name[line.name].append(line)
            if _KEY.fullmatch(line.key):
                by_key[_digest(line.key)].append(line)
            else:
                faults.append(
                    f"{line.where}: the key {line.name} must have at least {MIN_CHARACTERS} characters, of letters, "
                    "digits and -._~+/ (make one with: openssl rand -hex 32)."
                )
    duplicates = {name: pairs for name, pairs in by_name.items() if len(pairs) > 1}
    faults += [
        f"{pairs[1].where}: there are two keys with the name {name}." for name, pairs in duplicates.items()
    ]
    entries: _Entries = {}
    for digest, pairs in by_key.items():
        names = {pair.name for pair in pairs}
        if len(names) > 1:
            faults.append(f"{pairs[1].where}: {' and '.join(sorted(names))} have the same key.")
        elif names.isdisjoint(duplicates):
            entries[digest] = pairs[0].name
    return entries, tuple(faults)


def _of_directory(directory: Path) -> Iterator[_Line]:
    for file in _files(directory):
        where = str(directory / file.name)
        try:
            yield _Pair(where, file.name, _text(file).strip())
        except _Unreadable as fault:
            yield f"{where}: {fault}."
        except OSError as error:
            yield f"{where}: {error.strerror}."


def _of_file(path: Path) -> Iterator[_Line]:
    try:
        text = _text(path)
        yield from _of_yaml(text, str(path))
    except _Unreadable as fault:
        yield f"{path}: {fault}."
    except _NotYAML:
        # One invalid line makes the whole text invalid YAML: read the lines one by one.
        for number, line in enumerate(text.splitlines(), start=1):
            yield from _of_line(line, path, number)


class _Unreadable(Exception):
    pass


class _NotYAML(Exception):
    pass


def _of_line(line: str, path: Path, number: int) -> Iterator[_Line]:
    """Read one line's pair. An indented line belongs to something else and is a fault."""
    where = f"{path}, line {number}"
    try:
        parsed = list(_of_yaml(line, where))
    except _NotYAML:
        yield f"{where}: it is not YAML."
        return
    for each in parsed:
        if isinstance(each, _Pair) and not line[:1].isspace():
            yield each._replace(where=where)
        else:
            yield f"{where}: it is not `name: key`."


def _of_yaml(text: str, source: str) -> Iterator[_Line]:
    """Read a map's pairs. Raises _NotYAML, without the parser's message: it quotes the text."""
    try:
        node = yaml.compose(text, yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        raise _NotYAML from None
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        yield f"{source}: it is not a map with one `name: key` on each line."
        return
    for name, key in node.value:
        where = f"{source}, line {name.start_mark.line + 1}"
        if isinstance(name, yaml.ScalarNode) and isinstance(key, yaml.ScalarNode):
            yield _Pair(where, name.value, key.value)
        else:
            yield f"{where}: it is not `name: key`."


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        data = opened.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise _Unreadable(f"it has more than {_MAX_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _Unreadable("it is not UTF-8 text") from None
