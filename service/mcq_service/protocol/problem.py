"""RFC 9457 problem details."""

from __future__ import annotations

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"


class InvalidField(BaseModel):
    """What is wrong with one part of the request body."""

    pointer: str = Field(description="RFC 6901 JSON pointer into the body.")
    detail: str


class Problem(BaseModel):
    """Why a request was not answered. `type` is stable; `detail` is for a person."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[InvalidField] | None = None
