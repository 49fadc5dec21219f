"""Check that the CRDs stay backwards compatible: valid objects stay valid and keep their meaning."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import yaml

from delivery.release.errors import ReleaseError

# crdify's checks: https://github.com/kubernetes-sigs/crdify; a field's description may change.
CONFIGURATION = {"validations": [{"name": "description", "enforcement": "None"}]}
ADVICE = "Serve a new API version beside the old one instead, or undo the change."


def check(before: dict[str, str], after: dict[str, str], crdify: Path) -> None:
    """Compare CRDs, as {file name: text}. Raises ReleaseError with every breaking change."""
    broken = []
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "crdify.yaml").write_text(yaml.safe_dump(CONFIGURATION))
        for name, old in before.items():
            if name not in after:
                broken.append(f"{name} is missing")
                continue
            broken += [f"{name}: {change}" for change in _removed_versions(old, after[name])]
            (folder / "old.yaml").write_text(old)
            (folder / "new.yaml").write_text(after[name])
            files = [f"file://{folder / each}.yaml" for each in ("old", "new")]
            command: list[str | Path] = [crdify, "--config", folder / "crdify.yaml", *files]
            completed = subprocess.run(
                command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            )
            if completed.returncode:
                errors = [
                    line.strip(" -")
                    for line in (completed.stdout + completed.stderr).splitlines()
                    if "ERROR" in line
                ]
                broken += [f"{name}: {error}" for error in errors or [completed.stderr.strip()]]
    if broken:
        lines = ["The CRDs refuse objects that were valid before:", *(f"  {each}" for each in broken), ADVICE]
        raise ReleaseError("\n".join(lines))


def _removed_versions(old: str, new: str) -> list[str]:
    served = [
        {version["name"] for version in yaml.safe_load(text)["spec"]["versions"] if version["served"]}
        for text in (old, new)
    ]
    return [f"version {name} is no longer served" for name in sorted(served[0] - served[1])]
