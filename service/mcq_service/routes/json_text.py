"""What JSON leaves open and a client must not: two values for one key, numbers that are none, broken text, depth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from mcq_service.problems import InvalidQuestion, MalformedBody
from mcq_service.protocol import InvalidField
from mcq_service.routes.problems import pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 32
"""Of lists and maps in each other; no request has use for more than a few."""


class _Repeated(dict[str, Any]):
    """A map in which a key stands twice."""

    key: str


def check(body: bytes) -> None:
    """Raises MalformedBody or InvalidQuestion unless the body is one JSON text in UTF-8 that means one thing."""
    repeated = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        made = dict(found)
        if len(made) == len(found):
            return made
        repeated = True
        keys = [key for key, _ in found]
        marked = _Repeated(made)
        marked.key = next(key for key in keys if keys.count(key) > 1)
        return marked

    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_number)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise MalformedBody("Send a JSON object, in UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody(f"Send a JSON object, in UTF-8. {error.msg}: {where}.") from None  # noqa: EM102
    except ValueError:
        raise MalformedBody("A number has too many digits.") from None  # thousands: Python's own limit
    _check_depth(value)
    if "\\u" in text:
        _check_text(value)
    if repeated:
        _raise_repeated(value)


def _no_number(name: str) -> NoReturn:
    raise MalformedBody(f"JSON has no number {name}.")  # noqa: EM102


def _too_deep() -> MalformedBody:
    return MalformedBody(f"Lists and maps may be nested {MAX_DEPTH} deep.")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _too_deep()


def _check_text(value: Any) -> None:
    """Escapes can write what is no character: one half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        _raise_half(value)


def _raise_half(value: Any) -> None:
    for path, each in _walk(value):
        texts = each.keys() if isinstance(each, dict) else [each] if isinstance(each, str) else []
        for text in texts:
            try:
                text.encode()
            except UnicodeEncodeError:
                _raise(path, "has half of a surrogate pair, which is no character")


def _raise_repeated(value: Any) -> NoReturn:
    path, found = next((path, each) for path, each in _walk(value) if isinstance(each, _Repeated))
    _raise((*path, found.key), "stands twice")


def _raise(path: tuple[str | int, ...], detail: str) -> NoReturn:
    where = pointer(path)
    named = where.removeprefix("/").replace("/", ".") or "the body"
    raise InvalidQuestion(f"{named}: {detail}.", errors=[InvalidField(pointer=where, detail=detail)])  # noqa: EM102


def _walk(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Each value with where it stands, outer ones first; at most MAX_DEPTH deep."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inner:
        yield from _walk(each, (*path, step))
