"""The number of CPUs that a replica may use, from cgroups and the affinity."""

import os
from pathlib import Path

import pytest

from mcq_service.engine import cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("cpu_max", "expected"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1),
                              ("1600000 100000", 8)],
)  # fmt: skip
def test_a_quota_of_cgroup_v2_bounds_the_cpus(tmp_path: Path, cpu_max: str, expected: int) -> None:
    """A quota is rounded up, is at least 1, and never exceeds the affinity."""
    (tmp_path / "cpu.max").write_text(f"{cpu_max}\n")
    assert cpus.available_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("200000", 2), ("250000", 3), ("10000", 1)])
def test_a_quota_of_cgroup_v1_bounds_the_cpus(tmp_path: Path, quota: str, expected: int) -> None:
    """-1 means no quota."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cpus.available_cpus(tmp_path) == expected


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    """A developer's machine has no quota."""
    assert cpus.available_cpus(tmp_path) == 8
