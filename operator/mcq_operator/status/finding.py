"""A condition before it has a time of transition."""

from dataclasses import dataclass
from typing import Literal

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Finding:
    """A condition's type, status, reason and message."""

    type: str
    status: State
    reason: str
    message: str
