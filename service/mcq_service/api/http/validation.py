"""Says what is wrong with a body that is JSON: where, in what words, and of how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcq_service.api.problems import InvalidField, InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_ERRORS = 20
"""In one answer; its detail says how many there are."""
MAX_POINTER = 200
"""Characters. The pointer to a longer name ends above it, and the detail has the name's beginning."""

_NAME = 40


def at(path: Sequence[str | int], detail: str) -> InvalidQuestion:
    """The problem of a body with one error."""
    return invalid([(path, detail)], count=1)


def of_pydantic(errors: Sequence[Any], steps: Callable[[Sequence[Any]], list[Any]]) -> InvalidQuestion:
    """The problem of a body that does not validate; `steps` are those of a location that the body has, too."""
    listed = [(steps(each["loc"]), each["msg"]) for each in errors[:MAX_ERRORS]]
    return invalid(listed, count=len(errors))


def invalid(errors: Sequence[tuple[Sequence[str | int], str]], *, count: int) -> InvalidQuestion:
    """The problem of a body in which `count` errors were found, of which these are shown."""
    fields = [_field(path, detail) for path, detail in errors]
    where = fields[0].pointer.removeprefix("/").replace("/", ".") or "the body"
    detail = f"{where}: {fields[0].detail}."
    if count > len(fields):
        detail += f" There are {count} errors in all."
    return InvalidQuestion(detail, errors=fields)


def pointer(steps: Sequence[str | int]) -> str:
    """An RFC 6901 pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _field(path: Sequence[str | int], detail: str) -> InvalidField:
    found, steps = pointer(path), list(path)
    while len(found) > MAX_POINTER:
        name = str(steps.pop())
        found = pointer(steps)
        if len(found) <= MAX_POINTER:
            detail = f"{name[:_NAME]}…: {detail}"
    return InvalidField(pointer=found, detail=detail)
