"""A condition before it is dated."""

from dataclasses import dataclass
from typing import Literal

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Finding:
    """What was found of one aspect."""

    type: str
    status: State
    reason: str
    message: str
