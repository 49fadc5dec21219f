"""Parses a JSON body, once, and refuses what JSON leaves open: duplicate keys, numbers that are none, broken text.

A body has limits on its values, its keys and its depth, so that no 4 MiB of it can cost seconds or gigabytes.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

import jiter

from mcq_service.api.http.validation import at
from mcq_service.api.problems import MalformedBody, ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 32
"""Of lists and maps in each other; no request has use for more than a few."""
MAX_VALUES = 128 * 1024
"""Of all lists and maps together: 256 prompts of 512 token ids, or 256 questions many times over."""
MAX_KEYS = 256
"""Of one map. Validation reports each unknown key, so the number of keys bounds its work."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_STRINGS = re.compile(_STRING, re.DOTALL)
_STRETCHES = re.compile(rb'(?:[^"]++|' + _STRING + rb"){1,1000}+", re.DOTALL)
_TOKENS = re.compile(rb"[][{}:,]|" + _STRING, re.DOTALL)
_NO_NUMBER = re.compile(rb"NaN|-?Infinity")
_HALF_A_PAIR = ("lone leading surrogate in hex escape", "unexpected end of hex escape")


def parse(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8. Raises MalformedBody or InvalidQuestion."""
    text = body.removeprefix(codecs.BOM_UTF8)
    _check_size(text)
    try:
        # Without jiter's cache: it is global, and would keep what clients wrote.
        value = jiter.from_json(text, allow_inf_nan=False, cache_mode="none", catch_duplicate_keys=True)
    except ValueError as error:
        raise _explain(text, str(error)) from None
    _check_shape(value)
    return value


def _check_size(text: bytes) -> None:
    """Refuse too many values before objects are made of them: an empty list is 2 bytes of text, but 56 of memory."""
    if len(text) <= MAX_VALUES or _values(text) <= MAX_VALUES:
        return  # even if what stands in strings is counted
    values = 0
    # Stretch by stretch: a single call would keep other threads waiting.
    for stretch in _STRETCHES.finditer(text):
        values += _values(_STRINGS.sub(b"", stretch[0]))
        if values > MAX_VALUES:
            raise MalformedBody(f"A body may have at most {MAX_VALUES} values in its lists and maps.")  # noqa: EM102


def _values(text: bytes) -> int:
    return sum(text.count(mark) for mark in (b",", b"[", b"{"))


def _check_shape(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return
        if any(isinstance(each, dict) and len(each) > MAX_KEYS for each in level):
            raise MalformedBody(f"A map may have at most {MAX_KEYS} keys.")  # noqa: EM102
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    raise _too_deep()


def _too_deep() -> MalformedBody:
    return MalformedBody(f"Lists and maps may be nested {MAX_DEPTH} deep.")


def _explain(text: bytes, message: str) -> ProblemError:
    """Translate the parser's message, which ends with the error's line and column, counted from 1 and in bytes."""
    fault, _, position = message.rpartition(" at line ")
    line, column = (int(number) for number in position.split(" column "))
    start = _start(text, line)
    index = start + column - 1
    if fault.startswith("Detected duplicate key"):
        return at(_path(text[: text.rfind(b":", 0, index + 1) + 1]), "stands twice")
    if fault in _HALF_A_PAIR:
        return at(_path(text[:index]), "has half of a surrogate pair, which is no character")
    if fault == "recursion limit exceeded":
        return _too_deep()
    if fault == "number out of range":
        return MalformedBody("A number has too many digits.")
    if found := _NO_NUMBER.match(text, index - 1) or _NO_NUMBER.match(text, index):
        return MalformedBody(f"JSON has no number {found[0].decode()}.")
    characters = len(text[start : index + 1].decode(errors="replace"))
    where = f"line {line}, column {characters}"
    return MalformedBody(f"Send a JSON object, in UTF-8. {fault[:1].upper()}{fault[1:]}: {where}.")


def _start(text: bytes, line: int) -> int:
    """The index at which a line begins."""
    start = 0
    for _ in range(line - 1):
        start = text.index(b"\n", start) + 1
    return start


def _path(before: bytes) -> Sequence[str | int]:
    """The keys and indexes that lead to where a JSON text breaks off."""
    path: list[str | int | None] = []
    string = b""
    for found in _TOKENS.finditer(before):
        token = found[0]
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
