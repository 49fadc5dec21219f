"""The product's version: pyproject.toml has it, and these places repeat it for those who read only them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hack.release.errors import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

# https://semver.org, without build metadata, which image tags can't have.
SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?")
PLACES = {
    "pyproject.toml": r'^version = "(.+)"$',
    "service/pyproject.toml": r'^version = "(.+)"$',
    "operator/mcq_operator/__init__.py": r'^__version__ = "(.+)"$',
    "config/operator/deployment.yaml": r"mcq-(?:operator|service):(\S+)$",
    "compose.yaml": r"mcq-service:([^}\s]+)\}",
    ".env.example": r"mcq-service:(\S+)$",
}


def found(root: Path) -> dict[str, set[str]]:
    """The versions that each place names; every place names one."""
    return {
        place: set(re.findall(pattern, (root / place).read_text(), re.MULTILINE))
        for place, pattern in PLACES.items()
    }


def current(root: Path) -> str:
    """The version that all places name. Raises ReleaseError if they differ."""
    named = found(root)
    if len({frozenset(versions) for versions in named.values()}) != 1 or len(named["pyproject.toml"]) != 1:
        told = "\n".join(
            f"  {place}: {', '.join(sorted(versions)) or 'none'}" for place, versions in named.items()
        )
        message = f"The version is not the same everywhere:\n{told}"
        raise ReleaseError(message)
    [version] = named["pyproject.toml"]
    return version


def write(root: Path, version: str) -> None:
    """Name this version in all places."""
    for place, pattern in PLACES.items():
        path = root / place
        text = re.sub(pattern, lambda match: _replaced(match, version), path.read_text(), flags=re.MULTILINE)
        path.write_text(text)


def parse(version: str) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
    """What orders versions as semver does. Raises ReleaseError for what is none."""
    match = SEMVER.fullmatch(version)
    if not match:
        message = f"VERSION={version} is no semantic version, like 1.2.3 or 1.2.3-rc.1."
        raise ReleaseError(message)
    # Numbers come before words, and a pre-release before its release.
    words = [
        (not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in (match[4] or "").split(".")
    ]
    return int(match[1]), int(match[2]), int(match[3]), match[4] is None, words


def _replaced(match: re.Match[str], version: str) -> str:
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    return match[0][:start] + version + match[0][end:]
