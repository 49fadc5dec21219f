"""The local cluster's tool: what it starts works, what it says when something is wrong, and what it leaves.

The cluster of these tests has a name and a network namespace of its own, so that it disturbs no other.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hack.cluster import tools
from hack.cluster.cli import main
from hack.cluster.errors import ClusterError, ProviderError, StartError, TakenError
from hack.cluster.instance import CACHE, Instance, Ports
from hack.cluster.kind import KindCluster
from hack.cluster.member import FIRST, SECOND, Member
from hack.cluster.node import cri_answers, ctr
from hack.cluster.processes import Part, Processes, start_time
from hack.cluster.progress import Progress
from hack.cluster.providers import choose
from hack.cluster.teardown import mounts_below, shims

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
NAME = "teardown-test"


class Outside:
    """Commands in a network namespace of the test's own, where nothing but the loopback link is."""

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--net=/proc/{pid}/ns/net"]

    def run(self, *command: str, timeout: float = 120) -> str:
        environment = {**os.environ, "CLUSTER": "local"}
        done = subprocess.run(
            [*self._enter, *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def cluster(self, *arguments: str, timeout: float = 3600) -> str:
        command, *rest = arguments
        return self.run(str(ROOT / "hack/cluster/cluster"), command, "--name", NAME, *rest, timeout=timeout)

    def kernel_state(self) -> dict[str, str]:
        """Links, addresses, routes, rules and chains, and the sysctls that a cluster changes."""
        rules = [
            line
            for command in ("iptables-save", "ip6tables-save")
            for line in self.run(command).splitlines()
            if line.startswith("-A") or (line.startswith(":") and " - " in line)  # "-": not a built-in chain
        ]
        return {
            "links": self.run("ip", "-oneline", "link"),
            "addresses": self.run("ip", "-oneline", "address"),
            "routes": self.run("ip", "route"),
            "rules": "\n".join(rules),
            "forwarding": self.run("cat", "/proc/sys/net/ipv4/ip_forward"),
            "overcommit": self.run("cat", "/proc/sys/vm/overcommit_memory"),
        }


@pytest.fixture
def outside() -> Iterator[Outside]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the local cluster needs Linux and root")
    holder = subprocess.Popen(["unshare", "--net", "sleep", "7200"])
    try:
        own = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{holder.pid}/ns/net").readlink() == own:
            assert holder.poll() is None, "unshare failed"
            time.sleep(0.01)
        namespace = Outside(holder.pid)
        namespace.run("ip", "link", "set", "lo", "up")
        yield namespace
        namespace.cluster("down")
        shutil.rmtree(Instance(NAME, has_node=True).home)
    finally:
        holder.kill()
        holder.wait()


def cgroups() -> list[Path]:
    names = {Member(Instance(NAME, has_node=True), number).cgroup.strip("/") for number in (FIRST, SECOND)}
    return [path for path in Path("/sys/fs/cgroup").glob(f"**/mcq-{NAME}*") if path.name in names]


def witnesses(image: str) -> str:
    """A pod on every node, with a mount of a secret token, which is a tmpfs on the node."""
    labels = {"app": "witness"}
    container = {"name": "main", "image": image, "command": ["/bin/sleep", "3600"]}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "witness", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }
    return json.dumps(manifest)


def sandboxes(networks: list[str]) -> list[Path]:
    """The network namespaces of all pods in these networks of CNI's."""
    results = [path for name in networks for path in Path("/var/lib/cni/results").glob(f"{name}-*")]
    interfaces = [each for path in results for each in json.loads(path.read_text())["result"]["interfaces"]]
    return [Path(each["sandbox"]) for each in interfaces if each.get("sandbox")]


def test_down_leaves_no_process_mount_link_namespace_rule_or_cgroup(outside: Outside, tmp_path: Path) -> None:
    """Of either node."""
    instance = Instance(NAME, has_node=True)
    nodes = [Member(instance, FIRST), Member(instance, SECOND)]
    before = outside.kernel_state()

    outside.cluster("up")
    outside.cluster("node", "add")
    manifest = tmp_path / "witnesses.json"
    manifest.write_text(witnesses((instance.state / "helper-image").read_text()))
    outside.cluster("kubectl", "apply", "-f", str(manifest))
    outside.cluster("kubectl", "rollout", "status", "daemonset/witness", "--timeout=60s")

    processes = Processes(instance.state / "processes", instance.logs)
    pids = {name: processes.running(name) for name in processes.names()}
    networks = [sandboxes([node.network]) for node in nodes]
    during = outside.kernel_state()
    # Whatever the next assertions find gone was there.
    assert all(pids.values())
    assert {"etcd", "kubelet", "kubelet-2", "containerd", "containerd-2", "traefik", "coredns"} <= pids.keys()
    assert all(shims(node.containerd_socket) for node in nodes)
    assert mounts_below(nodes[0].state("kubelet"))
    assert mounts_below(nodes[1].state("kubelet"))
    assert all(networks)
    assert all(path.exists() for each in networks for path in each)
    assert {path.name for path in cgroups()} == {"mcq-teardown-test", "mcq-teardown-test.2"}
    assert "mcq0" in during["links"]
    assert "mcq1" in during["links"]
    assert "KUBE-SERVICES" in during["rules"]
    assert "MCQ-MASQUERADE" in during["rules"]
    assert "MCQ-NOWHERE" in during["rules"]
    assert during["forwarding"] == "1\n"
    with pytest.raises(ConnectionRefusedError):  # no Service has it, and it leads out of the machine no more
        socket.create_connection(("10.214.255.254", 443), 5)

    outside.cluster("down")

    assert {name: start_time(pid) for name, pid in pids.items() if pid and start_time(pid)} == {}
    assert [pid for node in nodes for pid in shims(node.containerd_socket)] == []
    assert mounts_below(instance.home) == []
    assert [path for each in networks for path in each if path.exists()] == []
    assert sandboxes([node.network for node in nodes]) == []
    assert cgroups() == []
    assert outside.kernel_state() == before
    assert not instance.state.exists()


def test_up_again_is_quick_and_keeps_what_runs(outside: Outside) -> None:
    instance = Instance(NAME, has_node=True)
    processes = Processes(instance.state / "processes", instance.logs)
    outside.cluster("up")
    first = {name: processes.running(name) for name in processes.names()}

    started = time.monotonic()
    outside.cluster("up")

    assert time.monotonic() - started < 10
    assert {name: processes.running(name) for name in processes.names()} == first


def test_a_part_that_fails_is_named_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    part = Part("etcd", ["sh", "-c", "echo the disk is full; exit 3"], ready=lambda: False)

    with pytest.raises(StartError, match=r"etcd ended at once(.|\n)*the disk is full"):
        processes.ensure(part, Progress())


def test_containerd_is_not_ready_before_it_serves_the_kubelet(tmp_path: Path) -> None:
    socket = tmp_path / "c.sock"
    configuration = tmp_path / "c.toml"
    # As it is while it starts, which is too short to be caught: there, but not yet for the kubelet.
    configuration.write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
        f'[plugins."io.containerd.internal.v1.opt"]\npath = "{tmp_path}/opt"\n'
    )
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    there = Part(
        "containerd",
        ["containerd", "--config", configuration],
        ready=lambda: "Server:" in ctr(socket, "version"),
    )
    processes.ensure(there, Progress())

    try:
        assert not cri_answers(socket)
    finally:
        processes.stop(["containerd"])


def test_a_process_that_ended_before_it_was_recorded_does_not_run(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    (tmp_path / "records").mkdir()
    ended = os.posix_spawnp("true", ["true"], os.environ)
    os.waitpid(ended, 0)
    (tmp_path / "records/etcd").write_text(json.dumps({"pid": ended, "start_time": start_time(ended)}))
    assert processes.running("etcd") is None


def test_a_process_is_ended_by_its_own_pid_only(tmp_path: Path) -> None:
    """A record whose start time is another's does not count: the pid was given to someone else."""
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    (tmp_path / "records").mkdir()
    (tmp_path / "records/etcd").write_text(json.dumps({"pid": os.getpid(), "start_time": 1}))

    processes.stop(["etcd"])

    assert processes.running("etcd") is None
    assert processes.names() == []


def test_a_taken_port_is_refused_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setattr(Instance, "ports", lambda _: Ports(api=port))
        monkeypatch.setattr(KindCluster, "_provide_programs", lambda _: None)
        local = KindCluster(Instance("taken", has_node=False, cache=tmp_path), Progress())

        with pytest.raises(
            TakenError, match=rf"Port {port}, for kube-apiserver, is taken by .*{os.getpid()}"
        ):
            local.up()


def test_without_root_the_local_cluster_points_at_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    local = KindCluster(Instance("rootless", has_node=True, cache=Path("/nowhere")), Progress())

    with pytest.raises(ProviderError, match=r"needs root(.|\n)*CLUSTER=kind"):
        local.up()


def test_a_second_node_is_for_a_local_cluster_that_is_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProviderError, match="'resting' is not up: start it with `up`"):
        KindCluster(Instance("resting", has_node=True, cache=Path("/nowhere")), Progress()).add_node()
    monkeypatch.setenv("CLUSTER", "current")
    monkeypatch.delenv("MCQ_CLUSTER_NAME", raising=False)

    assert main(["node", "add"]) == 1

    assert "Only the local cluster can be given a second node" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"CLUSTER": "local"}, "Cluster: local (CLUSTER=local)"),
        ({"CLUSTER": "current"}, "Cluster: current (CLUSTER=current)"),
        ({"MCQ_CLUSTER_NAME": "mine"}, "Cluster: local (only local clusters have names)"),
    ],
)
def test_the_provider_and_the_reason_for_it_are_shown(
    environment: dict[str, str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(Progress(), control_plane_only=False, name=None, environment=environment)

    assert shown in capsys.readouterr().err


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ProviderError, match="minikube is unknown"):
        choose(Progress(), control_plane_only=False, name=None, environment={"CLUSTER": "minikube"})


def test_a_cache_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="shorter MCQ_CACHE"):
        Instance("local", has_node=True, cache=tmp_path / ("x" * 90))


def test_a_tool_is_built_anew_only_when_its_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "modules/etcd"
    module.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (module / name).write_text("one")
    monkeypatch.setattr(tools, "MODULES", tmp_path / "modules")
    built = tools.Tools(tmp_path, Progress())
    before = built.directory("etcd")

    (module / "go.sum").write_text("two")

    assert built.directory("etcd") != before
    assert built.directory("etcd").parent == before.parent == tmp_path / "tools"


def test_named_clusters_keep_the_ports_they_were_given(tmp_path: Path) -> None:
    instance = Instance("mine", has_node=False, cache=tmp_path)

    assert instance.ports() == instance.ports()
    assert instance.ports() != Ports()
    assert Instance("local", has_node=True).home == CACHE / "cluster"
