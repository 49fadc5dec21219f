"""The places and the names of files."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROLES = {"__init__", "__main__", "cli", "errors", "router", "schemas", "build", "workload"}
"""Stems that several packages share by design."""
SUBJECTS = {"backup", "exam", "gate", "network", "routes", "scaling", "solver", "storage"}
"""Stems that several layers of the operator share: API, desired state, controllers and status."""


def test_the_operator_folder_is_no_package_because_it_would_shadow_the_standard_library() -> None:
    assert (ROOT / "operator/mcq_operator/__init__.py").exists()
    assert not (ROOT / "operator/__init__.py").exists()


@pytest.mark.parametrize(
    "program",
    [
        ["operator/mcq_operator"],
        ["service/mcq_service", "service/mcq_eval"],
        ["hack"],
        ["delivery"],
        ["benchmarks"],
    ],
    ids="/".join,
)
def test_no_two_files_of_a_program_have_the_same_name(program: list[str]) -> None:
    """A reader finds a module by its name alone."""
    stems = Counter(path.stem for folder in program for path in (ROOT / folder).rglob("*.py"))
    assert {stem for stem, count in stems.items() if count > 1} <= ROLES | SUBJECTS
