"""The local cluster's tool without a cluster: its records and its error messages."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hack import demo
from hack.cluster import kind
from hack.cluster.node_image import node_image
from hack.cluster.providers import choose
from hack.control_plane.instance import Instance
from hack.errors import SettingError
from hack.images import engine
from hack.toolchain import go_modules, tools
from hack.toolchain.errors import EngineError, ProviderError, StartError
from hack.toolchain.processes import Part, Processes, start_time
from hack.toolchain.progress import Progress


def test_a_failing_process_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    part = Part("etcd", ["sh", "-c", "echo the disk is full; exit 3"], ready=lambda: False)

    with pytest.raises(StartError, match=r"etcd ended at once(.|\n)*the disk is full"):
        processes.ensure(part, Progress())


def test_a_process_that_ended_before_its_record_does_not_run(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    (tmp_path / "records").mkdir()
    ended = os.posix_spawnp("true", ["true"], os.environ)
    os.waitpid(ended, 0)
    (tmp_path / "records/etcd").write_text(json.dumps({"pid": ended, "start_time": start_time(ended)}))
    assert processes.running("etcd") is None


def test_only_the_recorded_process_is_stopped(tmp_path: Path) -> None:
    """A start time that differs from the record means that another process has the pid now."""
    processes = Processes(tmp_path / "records", tmp_path / "logs")
    (tmp_path / "records").mkdir()
    (tmp_path / "records/etcd").write_text(json.dumps({"pid": os.getpid(), "start_time": 1}))

    processes.stop(["etcd"])

    assert processes.running("etcd") is None
    assert processes.names() == []


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ProviderError, match="minikube is unknown"):
        choose(Progress(), environment={"CLUSTER": "minikube"})


def test_the_demo_refuses_another_cluster_before_it_does_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "current")
    with pytest.raises(SettingError, match="`make demo` needs the local cluster"):
        demo.demo(Progress(quiet=True))


def test_all_files_of_kubeconfig_count(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = choose(Progress(quiet=True), environment={"CLUSTER": "current"})
    monkeypatch.setenv("KUBECONFIG", "/one:/two")
    assert str(provider.kubeconfig()) == "/one:/two"
    monkeypatch.delenv("KUBECONFIG")
    assert provider.kubeconfig() == Path.home() / ".kube/config"


def test_a_tool_is_rebuilt_only_when_its_pins_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "modules/etcd"
    module.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (module / name).write_text("one")
    monkeypatch.setattr(go_modules, "MODULES", tmp_path / "modules")
    built = tools.Tools(tmp_path, Progress())
    before = built.directory("etcd")

    (module / "go.sum").write_text("two")

    assert built.directory("etcd") != before
    assert built.directory("etcd").parent == before.parent == tmp_path / "tools"


def test_a_control_plane_keeps_its_ports(tmp_path: Path) -> None:
    instance = Instance("mine", cache=tmp_path)

    assert instance.ports() == instance.ports()


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make docker unable to reach an engine."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("no_engine")
def test_an_unreachable_docker_host_is_an_error() -> None:
    """The tool does not start an engine of its own instead."""
    with pytest.raises(EngineError, match=r"DOCKER_HOST names does not answer: .*none\.sock"):
        engine.ensure(Progress())


def test_without_an_engine_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        EngineError,
        match=r"(?s)No Docker engine answers `docker info`: .*Install Docker Engine .*CLUSTER=current",
    ):
        engine.ensure(Progress())


def test_an_unpinned_kubernetes_version_is_refused() -> None:
    with pytest.raises(
        ProviderError, match=r"KUBERNETES=1\.20 is unknown: 1\.37, 1\.34, 1\.33, or unset for 1\.34"
    ):
        node_image("1.20", Progress())


def test_the_runtime_requests_only_available_capabilities(tmp_path: Path) -> None:
    """This test replaces runc by a program that prints its arguments."""
    runc = tmp_path / "runc"
    runc.write_text('#!/bin/sh\necho "$@"\n')
    runc.chmod(0o755)
    bundle = tmp_path / "config.json"
    capabilities = {"bounding": ["CAP_CHOWN", "CAP_OF_ANOTHER_KERNEL"]}
    bundle.write_text(json.dumps({"process": {"capabilities": capabilities, "oomScoreAdj": -999}}))

    printed = subprocess.run(
        [Path(engine.__file__).with_name("runc-trimmed"), "create", "--bundle", tmp_path, "name"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert printed == f"create --bundle {tmp_path} name\n"
    process = json.loads(bundle.read_text())["process"]
    assert process == {"capabilities": {"bounding": ["CAP_CHOWN"]}, "oomScoreAdj": 0}


@pytest.mark.parametrize("value", ["0", "many", "-1", "10"])
def test_an_invalid_number_of_nodes_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NODES", value)
    with pytest.raises(ProviderError, match=f"NODES={value} can't be used: a number from 1 to 9"):
        kind.requested_nodes()


def test_an_unknown_ip_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IP_FAMILY", "ipv5")
    with pytest.raises(ProviderError, match=r"IP_FAMILY=ipv5 can't be used: ipv4, ipv6, dual"):
        kind.requested_ip_family()
