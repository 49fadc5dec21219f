"""The changelog's sections, in the format of Keep a Changelog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from delivery.release.errors import ReleaseError

if TYPE_CHECKING:
    from datetime import date

UNRELEASED = "## [Unreleased]"


def section(text: str, version: str) -> str | None:
    """Return a version's section without its heading; None if there is none."""
    match = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return match[1].strip() if match else None


def released(text: str, version: str, day: date) -> str:
    """Return the text with the unreleased entries under a heading for the version. Raises ReleaseError without any."""
    if not section(text, "Unreleased"):
        raise ReleaseError("CHANGELOG.md has nothing under [Unreleased]: a release needs an entry there.")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {day.isoformat()}", 1)
