"""The number of CPUs that a replica may use, from cgroups and the affinity."""

import os
from pathlib import Path

import pytest

from mcq_service.engine import cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def available_cpus(folder: Path, own: str) -> int:
    """Ask with `own` as /proc/self/cgroup."""
    (folder / "own").write_text(own)
    return cpus.available_cpus(cgroups=folder, own=folder / "own")


@pytest.mark.parametrize(
    ("cpu_max", "expected"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1),
                              ("1600000 100000", 8)],
)  # fmt: skip
def test_a_quota_of_cgroup_v2_bounds_the_cpus(tmp_path: Path, cpu_max: str, expected: int) -> None:
    """A quota is rounded up, is at least 1, and never exceeds the affinity."""
    (tmp_path / "cpu.max").write_text(f"{cpu_max}\n")
    assert available_cpus(tmp_path, "0::/\n") == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("200000", 2), ("250000", 3), ("10000", 1)])
def test_a_quota_of_cgroup_v1_bounds_the_cpus(tmp_path: Path, quota: str, expected: int) -> None:
    """-1 means no quota."""
    (tmp_path / "cpu/batch").mkdir(parents=True)
    (tmp_path / "cpu/batch/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/batch/cpu.cfs_period_us").write_text("100000\n")
    assert available_cpus(tmp_path, "2:cpuset:/\n1:cpu,cpuacct:/batch\n0::/\n") == expected


def test_the_smallest_quota_of_all_cgroups_counts(tmp_path: Path) -> None:
    """A service of systemd shares its slice's quota."""
    (tmp_path / "system.slice/mcq.service").mkdir(parents=True)
    (tmp_path / "system.slice/mcq.service/cpu.max").write_text("400000 100000\n")
    assert available_cpus(tmp_path, "0::/system.slice/mcq.service\n") == 4
    (tmp_path / "system.slice/cpu.max").write_text("200000 100000\n")
    assert available_cpus(tmp_path, "0::/system.slice/mcq.service\n") == 2


def test_a_containers_own_cgroup_is_at_the_top_if_the_hosts_path_is_not_there(tmp_path: Path) -> None:
    """Without a cgroup namespace, /proc/self/cgroup has a path of the host."""
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert available_cpus(tmp_path, "0::/kubepods.slice/pod1/container2\n") == 3


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    """A developer's machine has no quota."""
    assert cpus.available_cpus(cgroups=tmp_path, own=tmp_path / "none") == 8
