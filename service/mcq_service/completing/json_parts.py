"""JSON of a large response, put together of parts: one call for all of it would hold the interpreter's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel


def with_fields(model: BaseModel, **fields: str) -> str:
    """The model's JSON, with the JSON of these fields in place of what it has in them."""
    rest = model.model_dump_json(exclude=set(fields)).removesuffix("}")
    return rest + "".join(f',"{name}":{value}' for name, value in fields.items()) + "}"


def array(items: Iterable[str]) -> str:
    """A list of values that are JSON already."""
    return f"[{','.join(items)}]"
