"""The product's version: pyproject.toml defines it, and the files in PLACES repeat it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from delivery.release.errors import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

# https://semver.org, without build metadata: image tags can't contain it.
SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?")
PLACES = {
    "pyproject.toml": r'^version = "(.+)"$',
    "service/pyproject.toml": r'^version = "(.+)"$',
    "operator/mcq_operator/__init__.py": r'^__version__ = "(.+)"$',
    "config/operator/deployment.yaml": r"mcq-(?:operator|service(?:-torch)?):(\S+)$",
    "charts/mcq-operator/Chart.yaml": r"^(?:v|appV)ersion: (\S+)$",
    "compose.yaml": r"mcq-service:([^}\s]+)\}",
    ".env.example": r"mcq-service:(\S+)$",
}


def by_file(root: Path) -> dict[str, set[str]]:
    """Return the versions that each file names; a consistent file names one."""
    return {
        place: set(re.findall(pattern, (root / place).read_text(), re.MULTILINE))
        for place, pattern in PLACES.items()
    }


def current(root: Path) -> str:
    """Return the version that all files name. Raises ReleaseError if they differ."""
    named = by_file(root)
    if len({frozenset(versions) for versions in named.values()}) != 1 or len(named["pyproject.toml"]) != 1:
        lines = "\n".join(
            f"  {place}: {', '.join(sorted(versions)) or 'none'}" for place, versions in named.items()
        )
        raise ReleaseError(f"The version is not the same everywhere:\n{lines}")
    [version] = named["pyproject.toml"]
    return version


def write(root: Path, version: str) -> None:
    """Write this version to all files."""
    for place, pattern in PLACES.items():
        path = root / place
        text = re.sub(pattern, lambda match: _replace(match, version), path.read_text(), flags=re.MULTILINE)
        path.write_text(text)


def parse(version: str) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
    """Return a sort key in semver's order. Raises ReleaseError for an invalid version."""
    match = SEMVER.fullmatch(version)
    if not match:
        raise ReleaseError(f"VERSION={version} is not a semantic version, like 1.2.3 or 1.2.3-rc.1.")
    # Numbers sort before other identifiers, and a pre-release before its release.
    identifiers = [
        (not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in (match[4] or "").split(".")
    ]
    return int(match[1]), int(match[2]), int(match[3]), match[4] is None, identifiers


def _replace(match: re.Match[str], version: str) -> str:
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    return match[0][:start] + version + match[0][end:]
