"""`make up` and `make down` leave the machine unchanged: `make test-teardown`, without a running cluster.

An engine that this tool starts is removed too. An engine that ran before keeps running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hack.cluster.kind import KindCluster
from hack.images import engine, programs
from hack.toolchain.commands import run
from hack.toolchain.progress import Progress
from hack.toolchain.tools import install_programs
from tests.e2e.support import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
OTHER = "foreign"


def command(*arguments: str) -> None:
    subprocess.run([ROOT / "hack/cluster/cluster", *arguments], check=True, timeout=1200)


def machine() -> dict[str, object]:
    """Return what a cluster could leave behind: links, addresses, routes, rules, mounts, cgroups, processes."""
    rules = [line for line in run(["iptables-save"]).splitlines() if line.startswith(("-A", ":"))]
    return {
        "links": [link["ifname"] for link in json.loads(run(["ip", "-json", "link"]))],
        "addresses": run(["ip", "-oneline", "-family", "inet", "address"]),
        "routes": run(["ip", "route"]),
        "rules": sorted(line.split("[")[0] for line in rules),
        "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/docker*")),
        "sysctls": [path.read_text() for path in engine.SYSCTLS],
        "processes": sorted(names()),
    }


def names() -> Iterator[str]:
    """Yield the names of the processes that a cluster starts."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = path.read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith(("docker", "containerd", "kube", "etcd", "traefik", "registry", "runc")):
            yield name


def engine_objects() -> dict[str, str]:
    """Return the engine's containers, networks and volumes."""
    kinds = {"container": ["--all"], "network": [], "volume": []}
    return {kind: run(["docker", kind, "ls", "--quiet", *options]) for kind, options in kinds.items()}


def run_pod_with_volume() -> None:
    """Run a Pod with a volume and a token, because both are mounts on its node."""
    kubectl = KindCluster(Progress(quiet=True)).kubectl_command
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "witness"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    container = {
        "name": "main",
        "image": programs.TRAEFIK,
        "args": ["--providers.file.directory=/data"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "witness"},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "witness"}}],
        },
    }
    for manifest in (claim, pod):
        kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))
    kubectl("wait", "pod/witness", "--for=condition=Ready", "--timeout=120s")


@pytest.fixture
def machine_without_cluster() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("starting an engine needs Linux and root")
    install_programs(engine.PACKAGES, Progress())
    if engine.answers():
        engine.stop(Progress(quiet=True))
    if engine.answers():
        pytest.skip("an engine runs that this tool did not start, or a container in ours")


@pytest.mark.usefixtures("machine_without_cluster")
def test_down_removes_the_cluster_and_the_engine_started_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cluster has three nodes."""
    before = machine()
    monkeypatch.setenv("NODES", "3")

    command("up")
    run_pod_with_volume()
    during = machine()
    assert engine.answers()
    command("down")

    assert {key for key in before if during[key] != before[key]} >= {"links", "routes", "rules", "processes"}
    assert not engine.answers()
    eventually(lambda: machine() == before, seconds=20, what="the machine is as it was before")
    assert not KindCluster(Progress(quiet=True)).kubeconfig().exists()


@pytest.mark.usefixtures("machine_without_cluster")
def test_down_leaves_an_engine_that_ran_before_with_foreign_objects() -> None:
    """The engine is a dockerd that this tool does not manage, with a container."""
    with foreign_engine():
        before = engine_objects()
        command("up")
        run_pod_with_volume()
        assert engine_objects() != before

        command("down")

        assert engine_objects() == before
        assert run(["docker", "inspect", "--format={{.State.Running}}", OTHER]).strip() == "true"


@contextmanager
def foreign_engine() -> Iterator[None]:
    """Start an engine with a running container and our engine's images, so that no image is rebuilt."""
    ours = engine.OwnEngine(Progress())
    ours.start()
    programs.ensure([programs.TRAEFIK], Progress())
    record = ours.home / "processes"
    hidden = record.rename(record.with_name("processes-hidden"))
    try:
        run(["docker", "run", "--detach", f"--name={OTHER}", programs.TRAEFIK, "--log.level=ERROR"])
        yield
        run(["docker", "rm", "--force", OTHER])
    finally:
        hidden.rename(record)
        engine.stop(Progress())
