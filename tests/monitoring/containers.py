"""Compose's services as processes, where no engine runs containers.

Each has its command, environment, user, mounted files and volumes, temporary and read-only file systems, as the
compose file says, on top of this machine's files in place of its image; all share a network of their own, which no
other process can reach, and in which each service's name is the loopback address.
"""

import os
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOBODY = "65534:65534"
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """What of this machine stands for a service's image: its entry point, where its programs are, what they need."""

    entrypoint: Sequence[str | Path]
    path: Sequence[Path] = ()
    needs: Sequence[Path] = ()
    user: str = NOBODY


@dataclass
class Network:
    """A network namespace, with the services in it."""

    name: str
    folder: Path
    services: Mapping[str, Any]
    images: Mapping[str, Image]
    volumes: Mapping[str, Path]
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, service: str) -> None:
        """Start it, and wait until its health check passes."""
        image, wanted = self.images[service], self.services[service]
        with (self.folder / f"{service}.log").open("wb") as log:
            command = self._contained(service, [*map(str, image.entrypoint), *wanted.get("command", [])])
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self._running.append(process)
        kind, *check = wanted["healthcheck"]["test"]
        assert kind == "CMD"
        for _ in range(120):
            assert process.poll() is None, f"{service} ended: {self.log(service)}"
            checking = self._contained(f"{service}-health", check, like=service)
            done = subprocess.run(checking, capture_output=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(1)
        message = f"{service} is not healthy: {done.stderr.decode()} {self.log(service)}"
        raise AssertionError(message)

    def log(self, service: str) -> str:
        """The last of what it printed."""
        return (self.folder / f"{service}.log").read_text(errors="replace")[-3000:]

    def run(self, *command: str) -> str:
        """Run a command in the network, outside of the containers; returns what it printed."""
        inside = ["ip", "netns", "exec", self.name, *command]
        return subprocess.run(inside, capture_output=True, text=True, check=True, timeout=120).stdout

    def stop(self) -> None:
        """End the services."""
        for process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _contained(self, name: str, command: Sequence[str], *, like: str = "") -> list[str]:
        """The command line that runs `command` in the file systems, and as the user, of the service."""
        service = like or name
        image, wanted = self.images[service], self.services[service]
        layers = self.folder / f"{name}.layers"
        root, upper, work = (layers / each for each in ("root", "upper", "work"))
        for each in (root, upper / "etc", work):
            each.mkdir(parents=True, exist_ok=True)
        names = " ".join(["localhost", *self.services])
        (upper / "etc/hosts").write_text(f"127.0.0.1 {names}\n")
        steps = [f"mount -t overlay overlay -o lowerdir=/,upperdir={upper},workdir={work} {root}"]
        steps += [f"mount --rbind {system} {root}{system}" for system in ("/proc", "/dev", "/sys")]
        for target in wanted.get("tmpfs", []):
            place, _, options = target.partition(":")
            steps += [
                f"mkdir -p {root}{place}",
                f"mount -t tmpfs -o mode=1777,{options or 'size=64m'} tmpfs {root}{place}",
            ]
        for needed in image.needs:
            # It may be on another file system, and in a folder that only we may enter.
            steps += [
                f"chmod o+x {root}{parent}" for parent in reversed(needed.parents) if str(parent) != "/"
            ]
            steps += [f"mkdir -p {root}{needed}", f"mount --bind {needed} {root}{needed}"]
        for volume in wanted.get("volumes", []):
            steps += self._mounted(volume, root)
        if wanted.get("read_only"):
            steps.append(f"mount -o remount,ro {root}")
        variables = {
            "PATH": os.pathsep.join([*map(str, image.path), SYSTEM]),
            "HOME": "/",
            **wanted.get("environment", {}),
        }
        settings = [f"{key}={value}" for key, value in variables.items()]
        entered = ["chroot", f"--userspec={image.user}", str(root), "env", "-i", *settings, *command]
        script = " && ".join([*steps, f"exec {shlex.join(entered)}"])
        return ["ip", "netns", "exec", self.name, "unshare", "--mount", "sh", "-c", script]

    def _mounted(self, volume: str, root: Path) -> list[str]:
        source, target, mode = volume.split(":")
        place = self.volumes.get(source) or Path(source)
        made = f"mkdir -p {root}{target}"
        if place.is_file():
            made = f"mkdir -p {root}{Path(target).parent} && touch {root}{target}"
        read_only = [f"mount -o remount,bind,ro {root}{target}"] if mode == "ro" else []
        return [made, f"mount --bind {place} {root}{target}", *read_only]


@contextmanager
def network(
    folder: Path, services: Mapping[str, Any], images: Mapping[str, Image], volumes: Mapping[str, Path]
) -> Iterator[Network]:
    """A network without any service yet; what was started in it ends with it."""
    name = f"mcq-compose-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    made = Network(name, folder, services, images, volumes)
    try:
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        made.stop()
        subprocess.run(["ip", "netns", "delete", name], check=True)
