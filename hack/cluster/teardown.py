"""Taking a local cluster away: processes, containers, mounts, network and cgroups, and only its own.

It asks nobody's cooperation: what crashed, or was half started, goes the same way.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster import cgroups
from hack.cluster.commands import run
from hack.cluster.errors import ClusterError
from hack.cluster.kernel import Kernel
from hack.cluster.member import members
from hack.cluster.network import Network
from hack.cluster.node import ctr

if TYPE_CHECKING:
    from hack.cluster.instance import Instance
    from hack.cluster.member import Member
    from hack.cluster.processes import Processes
    from hack.cluster.progress import Progress

CONTAINER_LOGS = Path("/var/log/containers")
SHIM_SOCKETS = Path("/run/containerd")  # where every containerd's shims listen, whatever its own directory
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")  # the kubelet's, whatever its own directory


def remove(instance: Instance, processes: Processes, progress: Progress) -> None:
    """End and remove everything of the cluster but its images, registry, volumes and logs."""
    nodes = members(instance) if instance.has_node else []
    with progress.step("end the cluster's processes"):
        # The API server waits for etcd when it ends, and we need containerd.
        last = ("etcd", *(node.part("containerd") for node in nodes))
        processes.stop([name for name in processes.names() if name not in last])
        processes.stop(["etcd"])
    if nodes:
        with progress.step("end pods"):
            for node in nodes:
                _end_pods(node, processes)
        with progress.step("remove mounts, network and rules"):
            _unmount_below(instance.state)
            _restore_network(Kernel(instance.network_record), nodes)
            _remove_links_and_sockets(instance.logs)
    _refuse_leftovers([instance.state], nodes)
    shutil.rmtree(instance.state)


def remove_node(node: Member, processes: Processes, progress: Progress) -> None:
    """End and remove all of one node but its images and logs; the rest of the cluster runs on."""
    own = [node.state(name) for name in ("kubelet", "run/containerd", "cni", "addresses", "volume-plugins")]
    with progress.step("end the node's pods and processes"):
        processes.stop([node.part("kubelet")])
        _end_pods(node, processes)
        for directory in own:
            _unmount_below(directory)
        Network(node).remove()
        _remove_links_and_sockets(node.pod_logs)
    _refuse_leftovers(own, [node])
    for directory in own:
        shutil.rmtree(directory, ignore_errors=True)
    node.state("containerd.toml").unlink(missing_ok=True)
    # Last of all: it says that there may be something left.
    node.kubelet_configuration.unlink()


def shims(containerd_socket: Path) -> list[int]:
    """The pids of containerd's shims, which outlive it: known by its address on their command line."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if (words := _words(path)) and "containerd-shim" in words[0] and str(containerd_socket) in words
    ]


def _words(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(errors="replace").split("\0")
    return []


def _restore_network(kernel: Kernel, nodes: list[Member]) -> None:
    if kernel.prepared:  # otherwise what goes by our names is somebody else's
        for node in nodes:
            Network(node).remove()
        kernel.restore()


def _end_pods(node: Member, processes: Processes) -> None:
    _remove_containers(node)
    processes.stop([node.part("containerd")])
    for pid in shims(node.containerd_socket):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cgroups.remove(node.cgroup)


def _remove_containers(node: Member) -> None:
    """Through containerd, so that snapshots go too and its database knows."""
    address = node.containerd_socket
    if tasks := ctr(address, "tasks", "list", "--quiet").split():
        ctr(address, "tasks", "delete", "--force", *tasks)
    if containers := ctr(address, "containers", "list", "--quiet").split():
        ctr(address, "containers", "delete", *containers)
    # What the CRI plugin remembers of them; without a task it would only report them as dead.
    for kind in ("containers", "sandboxes"):
        shutil.rmtree(node.containerd_root / "io.containerd.grpc.v1.cri" / kind, ignore_errors=True)


def mounts_below(directory: Path) -> list[str]:
    """Mount points in the directory, innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1].encode().decode("unicode_escape") for line in lines]
    return [point for point in reversed(points) if Path(point).is_relative_to(directory)]


def _unmount_below(directory: Path) -> None:
    for _ in range(3):  # a process that is just ending may still hold one
        for point in mounts_below(directory):
            run(["umount", point], check=False)
        if not mounts_below(directory):
            return
        time.sleep(0.3)
    for point in mounts_below(directory):
        run(["umount", "--lazy", point], check=False)


def _remove_links_and_sockets(logs: Path) -> None:
    """Links in /var/log/containers to our pods' logs, and shims' sockets that nobody listens on."""
    if CONTAINER_LOGS.is_dir():
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(logs):
                link.unlink()
    for path in [*(SHIM_SOCKETS / "s").glob("*"), DEVICE_PLUGINS / "kubelet.sock"]:
        if path.is_socket() and _abandoned(path):
            path.unlink()
    ours = (CONTAINER_LOGS, SHIM_SOCKETS / "s", SHIM_SOCKETS, DEVICE_PLUGINS, DEVICE_PLUGINS.parent)
    for directory in ours:
        with suppress(OSError):  # not there, or not empty: in another's use
            directory.rmdir()


def _abandoned(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _refuse_leftovers(directories: list[Path], nodes: list[Member]) -> None:
    """Deleting the directories forgets what was ours, and would reach through a mount that stayed."""
    left = [point for directory in directories for point in mounts_below(directory)]
    left += [f"process {pid}" for node in nodes for pid in shims(node.containerd_socket)]
    if left:
        message = f"Could not remove {json.dumps(left)}: do it again, or reboot."
        raise ClusterError(message)
