"""Build the problem for a JSON body that does not validate: where, why, and how many errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcq_service.api.problems import InvalidField, InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_ERRORS = 20
"""Errors in one response; if there are more, its detail gives their number."""
MAX_POINTER = 200
"""Characters of a pointer. It stops before the name that makes it longer; the detail then starts with that name."""

_MAX_NAME = 40


def error_at(path: Sequence[str | int], detail: str) -> InvalidQuestion:
    """Return the problem for a body with one error."""
    return invalid_question([(path, detail)], count=1)


def from_pydantic(errors: Sequence[Any], body: Any) -> InvalidQuestion:
    """Return the problem for pydantic's errors in a body."""
    listed = [(list(_body_path(each, body)), each["msg"]) for each in errors[:MAX_ERRORS]]
    return invalid_question(listed, count=len(errors))


def _body_path(error: Any, value: Any) -> Iterator[str | int]:
    """Yield the steps of an error's location that are in the body.

    The others are pydantic's names for the members of a union.
    """
    location = error["loc"]
    for index, step in enumerate(location):
        missing = error["type"] == "missing" and index == len(location) - 1
        if isinstance(value, dict) and (step in value or missing):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            continue
        yield step


def invalid_question(errors: Sequence[tuple[Sequence[str | int], str]], *, count: int) -> InvalidQuestion:
    """Return the problem for a body with `count` errors; the response lists `errors`."""
    fields = [_field(path, detail) for path, detail in errors]
    where = fields[0].pointer.removeprefix("/").replace("/", ".") or "the body"
    detail = f"{where}: {fields[0].detail}."
    if count > len(fields):
        detail += f" There are {count} errors in all."
    return InvalidQuestion(detail, errors=fields)


def pointer(path: Sequence[str | int]) -> str:
    """Return an RFC 6901 pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _field(path: Sequence[str | int], detail: str) -> InvalidField:
    text, steps = pointer(path), list(path)
    while len(text) > MAX_POINTER:
        name = str(steps.pop())
        text = pointer(steps)
        if len(text) <= MAX_POINTER:
            detail = f"{name[:_MAX_NAME]}…: {detail}"
    return InvalidField(pointer=text, detail=detail)
