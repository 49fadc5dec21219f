"""Rules for fields in the schemas of several surfaces."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class LenientModel(BaseModel):
    """A part of a request in another provider's form: unknown fields are ignored, and no value is converted."""

    model_config = ConfigDict(extra="ignore", strict=True)


def not_blank(text: str) -> str:
    """Validate a text that must have more than white space."""
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


def text_kind(value: Any) -> str:
    """Return the form of a text, so that pydantic reports the errors of this form only."""
    return "array" if isinstance(value, list) else "string"


def is_none(value: object) -> bool:
    """Return whether to leave a field out of a response: for `exclude_if`."""
    return value is None
