"""Parse a JSON body once; reject what JSON leaves open: duplicate keys, NaN and Infinity, broken text.

Values, keys and depth are limited, so that a body of 4 MiB can't take seconds or gigabytes.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

import jiter

from mcq_service.api.http.validation import error_at
from mcq_service.api.problems import MalformedBody, ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 32
"""Nesting of lists and maps; real requests need only a few levels."""
MAX_VALUES = 128 * 1024
"""Values in all lists and maps: 256 prompts of 512 token ids, or 256 questions many times over."""
MAX_KEYS = 256
"""Keys of one map. Validation reports each unknown key, so their number bounds its work."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_STRINGS = re.compile(_STRING, re.DOTALL)
_CHUNKS = re.compile(rb'(?:[^"]++|' + _STRING + rb"){1,1000}+", re.DOTALL)
_TOKENS = re.compile(rb"[][{}:,]|" + _STRING, re.DOTALL)
_NON_FINITE = re.compile(rb"NaN|-?Infinity")
_LONE_SURROGATE = ("lone leading surrogate in hex escape", "unexpected end of hex escape")


def parse(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8. Raises MalformedBody or InvalidQuestion."""
    text = body.removeprefix(codecs.BOM_UTF8)
    _check_size(text)
    try:
        # Without jiter's cache: it is global and would keep clients' text.
        value = jiter.from_json(text, allow_inf_nan=False, cache_mode="none", catch_duplicate_keys=True)
    except ValueError as error:
        raise _explain(text, str(error)) from None
    _check_shape(value)
    return value


def _check_size(text: bytes) -> None:
    """Reject too many values before objects exist for them: an empty list takes 2 bytes of text, but 56 of memory."""
    if len(text) <= MAX_VALUES or _values(text) <= MAX_VALUES:
        return  # even with the marks inside strings, which this counts too
    values = 0
    # Count chunk by chunk: a single call would hold the interpreter's lock.
    for chunk in _CHUNKS.finditer(text):
        values += _values(_STRINGS.sub(b"", chunk[0]))
        if values > MAX_VALUES:
            raise MalformedBody(f"A body may have at most {MAX_VALUES} values in its lists and maps.")


def _values(text: bytes) -> int:
    return sum(text.count(mark) for mark in (b",", b"[", b"{"))


def _check_shape(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return
        if any(isinstance(each, dict) and len(each) > MAX_KEYS for each in level):
            raise MalformedBody(f"A map may have at most {MAX_KEYS} keys.")
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    raise _too_deep()


def _too_deep() -> MalformedBody:
    return MalformedBody(f"Lists and maps may be nested {MAX_DEPTH} deep.")


def _explain(text: bytes, message: str) -> ProblemError:
    """Translate the parser's message. It ends with the error's line and column, counted from 1 and in bytes."""
    reason, _, position = message.rpartition(" at line ")
    line, column = (int(number) for number in position.split(" column "))
    start = _line_start(text, line)
    index = start + column - 1
    if reason.startswith("Detected duplicate key"):
        return error_at(_path(text[: text.rfind(b":", 0, index + 1) + 1]), "occurs twice")
    if reason in _LONE_SURROGATE:
        return error_at(_path(text[:index]), "has a lone surrogate, which is not a character")
    if reason == "recursion limit exceeded":
        return _too_deep()
    if reason == "number out of range":
        return MalformedBody("A number has too many digits.")
    if match := _NON_FINITE.match(text, index - 1) or _NON_FINITE.match(text, index):
        return MalformedBody(f"JSON has no number {match[0].decode()}.")
    characters = len(text[start : index + 1].decode(errors="replace"))
    where = f"line {line}, column {characters}"
    return MalformedBody(f"Send a JSON object, in UTF-8. {reason[:1].upper()}{reason[1:]}: {where}.")


def _line_start(text: bytes, line: int) -> int:
    """Return the index of a line's beginning."""
    start = 0
    for _ in range(line - 1):
        start = text.index(b"\n", start) + 1
    return start


def _path(before: bytes) -> Sequence[str | int]:
    """Return the keys and indexes that lead to the end of an incomplete JSON text."""
    path: list[str | int | None] = []
    string = b""
    for match in _TOKENS.finditer(before):
        token = match[0]
        if token in {b"{", b"["}:
            path.append(None if token == b"{" else 0)
        elif token in {b"}", b"]"}:
            path.pop()
        elif token == b",":
            step = path[-1]
            path[-1] = step + 1 if isinstance(step, int) else None
        elif token == b":":
            path[-1] = json.loads(string)
        else:
            string = token
    return [step for step in path if step is not None]
