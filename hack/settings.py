"""Environment variables that are on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hack.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")


def flag(environment: Mapping[str, str], name: str) -> bool:
    """Return whether a variable is on. Raises SettingError for an invalid value."""
    value = environment.get(name, "").strip().lower()
    if value not in (*YES, *NO):
        raise SettingError(f"{name}={value} is invalid: use 1 or 0.")
    return value in YES
