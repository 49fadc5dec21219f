"""Files that must never be in the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_operator_folder_is_no_package_for_it_would_shadow_the_standard_library() -> None:
    assert (ROOT / "operator/mcq_operator/__init__.py").exists()
    assert not (ROOT / "operator/__init__.py").exists()
