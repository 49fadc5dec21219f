"""The Docker engine: one that answers `docker info`, or one that this tool installs, starts and stops.

Our own engine serves bare Debian machines without systemd, where root must start it. It keeps its data in
`$MCQ_CACHE/docker` and listens on Docker's usual socket, so that `docker` and kind need no settings. Images stay in
the cache when the engine stops.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hack.images import docker
from hack.toolchain.commands import run
from hack.toolchain.errors import EngineError, ToolError
from hack.toolchain.paths import CACHE
from hack.toolchain.processes import Part, Processes
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools, install_packages, install_programs, locked

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = Path("/var/run/docker.sock")
PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
}
PLUGIN_FOLDER = Path.home() / ".docker/cli-plugins"
CAP_SYS_RESOURCE = 24
SYSCTLS = tuple(
    Path("/proc/sys/net") / name
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding")
)
"""Kernel settings that dockerd changes; the second and third are for kind's IPv6 network."""
ADVICE = (
    "Install Docker Engine (Linux) or Docker Desktop (macOS, Windows), start it, and try again. As root on Debian"
    " this tool installs and starts an engine by itself. With CLUSTER=current it uses kubectl's current context."
)


def answers() -> bool:
    """Return True if a Docker engine answers within a few seconds."""
    if not shutil.which("docker"):
        return False
    with suppress(subprocess.TimeoutExpired):
        return (
            subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
        )
    return False


def ensure(progress: Progress) -> None:
    """Make an engine answer, and a client that builds images. Raises EngineError or MissingToolError."""
    if not answers():
        _refuse_where_no_engine_can_start()
        engine = OwnEngine(progress)
        with locked(engine.home / ".lock"):
            engine.start()
    install_packages(lambda: [] if docker.build_client() else ["docker-buildx"], progress)


def stop(progress: Progress) -> None:
    """Stop the engine if this tool started it and no container runs in it."""
    engine = OwnEngine(progress)
    if not engine.runs:
        return
    with locked(engine.home / ".lock"):
        if running := run(["docker", "ps", "--format", "{{.Names}}"]).split():
            progress.say(f"The Docker engine stays up: it runs {', '.join(running)}.")
            return
        with progress.step("stop the Docker engine"):
            engine.stop()


def left_behind() -> bool:
    """Return True if our engine exited without `stop`: the next start brings its containers back."""
    engine = OwnEngine(Progress(quiet=True))
    return engine.before.exists() and not engine.runs


def _refuse_where_no_engine_can_start() -> None:
    if os.environ.get("DOCKER_HOST"):
        raise EngineError(f"The engine that DOCKER_HOST names does not answer: {_reason()}")
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise EngineError(f"No Docker engine answers `docker info`: {_reason()}\n{ADVICE}")


def _reason() -> str:
    """Return the last line that docker prints about the engine, such as a missing permission."""
    try:
        run(["docker", "version", "--format={{.Server.Version}}"], timeout=10)
    except ToolError as error:
        return str(error).splitlines()[-1]
    return "it answers `docker version` but not `docker info`."


def ensure_compose(progress: Progress) -> None:
    """Make `docker compose` work: if the plugin is missing, link our binary into the user's plugin folder."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return
    tools = Tools(CACHE, progress)
    tools.build(["compose"])
    PLUGIN_FOLDER.mkdir(parents=True, exist_ok=True)
    link = PLUGIN_FOLDER / "docker-compose"
    link.unlink(missing_ok=True)
    link.symlink_to(tools.binary("compose", "cmd"))


@dataclass(frozen=True)
class OwnEngine:
    """The engine that this tool starts. It records the kernel settings that dockerd changes and restores them."""

    progress: Progress
    home: ClassVar[Path] = CACHE / "docker"
    # Outside the cache: a Unix socket's path is limited to 107 bytes.
    _run: ClassVar[Path] = Path("/run/mcq-docker")

    @property
    def runs(self) -> bool:
        """True if it was started and still runs."""
        return self._processes.running("dockerd") is not None

    def start(self) -> None:
        """Install Debian's packages if they are missing and start dockerd. Raises StartError with the log's end."""
        install_programs(PACKAGES, self.progress)
        install_programs({"docker": "docker-cli"}, self.progress)  # a separate package since Debian 13
        if answers():  # with systemd, Debian's package starts the engine
            return
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.before.exists():
            self.before.write_text(json.dumps(_kernel_settings()))
        pid_file = self.home / "dockerd.pid"
        pid_file.unlink(missing_ok=True)  # a killed dockerd leaves this file and its containerd behind
        self._end_orphaned_containerd()
        options = [
            f"--host=unix://{SOCKET}", f"--data-root={self.home / 'data'}", f"--exec-root={self._run}",
            f"--pidfile={pid_file}", f"--mtu={_outgoing_mtu()}", *self._runtime(),
        ]  # fmt: skip
        part = Part("dockerd", ["dockerd", *options], ready=answers, timeout=120)
        self._processes.ensure(part, self.progress)

    def _end_orphaned_containerd(self) -> None:
        record = self._run / "containerd/containerd.pid"
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int(record.read_text())
            if str(self._run) in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
        record.unlink(missing_ok=True)  # dockerd waits for the socket while the process is a zombie

    def stop(self) -> None:
        """Stop dockerd; remove its network, rules, mounts and cgroups, and restore the kernel's settings."""
        bridges = run(["docker", "network", "ls", "--filter=driver=bridge", "--format={{.ID}}"]).split()
        self._processes.stop(["dockerd"], grace=60)
        for point in reversed(_mounts_below(self._run, self.home)):
            run(["umount", point], check=False)
        shutil.rmtree(self._run, ignore_errors=True)
        shutil.rmtree(self._processes.records, ignore_errors=True)
        SOCKET.unlink(missing_ok=True)
        for link in ("docker0", *(f"br-{network}" for network in bridges)):
            run(["ip", "link", "delete", link], check=False)
        if self.before.exists():
            _restore(json.loads(self.before.read_text()))
            self.before.unlink()

    @property
    def _processes(self) -> Processes:
        return Processes(self.home / "processes", self.home / "logs")

    @property
    def before(self) -> Path:
        """The record of the kernel's settings before dockerd first started; `stop` removes it."""
        return self.home / "kernel-settings.json"

    def _runtime(self) -> list[str]:
        """Return the options for a root without CAP_SYS_RESOURCE, a capability that privileged containers request."""
        bounding = next(
            line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd")
        )
        if int(bounding.split()[1], 16) >> CAP_SYS_RESOURCE & 1:
            return []
        runtime = self.home / "runc-trimmed"
        shutil.copy2(Path(__file__).with_name("runc-trimmed"), runtime)
        return [f"--add-runtime=trimmed={runtime}", "--default-runtime=trimmed"]


def _outgoing_mtu() -> int:
    """Return the MTU of the default route's link: containers with a larger MTU lose packets."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "default"]) or "[]")
    links = json.loads(run(["ip", "-json", "link", "show", "dev", routes[0]["dev"]])) if routes else []
    return min([1500, *(int(link["mtu"]) for link in links)])


def _kernel_settings() -> dict[str, str]:
    sysctls = {str(path): path.read_text().strip() for path in SYSCTLS if path.exists()}
    policy = run(["iptables", "--wait", "--list-rules", "FORWARD"]).splitlines()[0].split()[-1]
    return {**sysctls, "FORWARD": policy}


def _restore(before: Mapping[str, str]) -> None:
    """Remove Docker's rules and chains, and restore the policy and the changed settings."""
    rules = run(["iptables-save"]).splitlines()
    others = [line for line in rules if "docker" not in line.lower()]
    run(["iptables-restore", "--wait"], stdin="\n".join([*others, ""]))
    run(["iptables", "--wait", "--policy", "FORWARD", before["FORWARD"]])
    for path, value in before.items():
        if path.startswith("/proc/"):
            Path(path).write_text(value)
    root = Path("/sys/fs/cgroup")
    for parent in [root / "docker", *root.glob("*/docker")]:  # version 2, version 1
        for folder, _, _ in os.walk(parent, topdown=False):
            with suppress(OSError):  # another engine's container
                Path(folder).rmdir()


def _mounts_below(*folders: Path) -> list[str]:
    """Return the mount points in the folders, outermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if any(Path(point).is_relative_to(each) for each in folders)]
