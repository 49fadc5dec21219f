"""Describes a Jenkins job, and runs its build with the interpreter in jenkins/."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from hack.toolchain.progress import Progress
from hack.toolchain.tools import install_packages

INTERPRETER = Path(__file__).parent / "jenkins"
GROOVY = Path("/usr/share/java/groovy-all.jar")


@dataclass(frozen=True)
class ChangeRequest:
    """A pull request: its number, the target commit, and whether it comes from a fork."""

    id: str
    target: str
    fork: bool


@dataclass(frozen=True)
class Job:
    """The configuration of a job in Jenkins."""

    name: str
    home: Path
    """The folder of its workspace and builds."""
    scm: dict[str, str]
    """`url` is the repository, `revision` the commit."""
    branch: str = "main"
    change_request: ChangeRequest | None = None
    parameters: dict[str, str | bool] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """The agent's environment; the build gets no other variable of this process."""
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    """By id: {kind: file, content}, {kind: string, secret} or {kind: usernamePassword, username, password}."""
    labels: tuple[str, ...] = ("mcq", "mcq-untrusted")
    """The agent's labels. Here one machine has the labels of both kinds of agent."""
    approver: str | None = None
    """The user who approves each `input`; without one the build is aborted there."""

    @property
    def workspace(self) -> Path:
        """The folder of the checkout, kept between builds."""
        return self.home / "workspace" / self.name

    def settings(self) -> dict[str, Any]:
        """Return the job in the interpreter's format."""
        settings = {**asdict(self), "home": str(self.home), "startedBy": "delivery/pipeline"}
        settings["changeRequest"] = settings.pop("change_request")
        return settings


@dataclass(frozen=True)
class Build:
    """A completed build."""

    number: int
    result: str
    reason: str | None
    stages: dict[str, str]
    """Each stage's result by name; SKIPPED for a skipped stage."""
    record: dict[str, Any]
    directory: Path

    @property
    def log(self) -> str:
        """The build's complete log."""
        return (self.directory / "log").read_text()


def run(job: Job, output: IO[str] | None = None) -> Build:
    """Run a build to its end, with its log on `output`, by default this process's stdout.

    Raises MissingToolError if Groovy is missing and can't be installed.
    """
    install_packages(_missing, Progress())
    job.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:  # readable for this user only: it holds secrets
        settings, directory_file = Path(directory) / "job.json", Path(directory) / "build"
        settings.write_text(json.dumps(job.settings()))
        with subprocess.Popen(
            command(settings, directory_file), stdin=subprocess.DEVNULL, stdout=output
        ) as process:
            try:
                process.wait()
            except KeyboardInterrupt:
                process.wait()  # it got the same signal, and aborts the build with its clean-up
        return read_build(Path(directory_file.read_text()))


def command(settings: Path, directory_file: Path) -> list[str]:
    """Return the command that runs a build of the job in the JSON file `settings`.

    It writes the path of the build's directory to the file `directory_file`. SIGINT or SIGTERM aborts the build.
    """
    classpath = os.pathsep.join([str(GROOVY), str(INTERPRETER)])
    script = str(INTERPRETER / "run.groovy")
    # Skip the JVM's second compiler: start-up is most of a short build.
    java = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath]
    return [*java, "groovy.ui.GroovyMain", script, str(settings), str(directory_file)]


def read_build(directory: Path) -> Build:
    """Read the build's record in its directory. Raises FileNotFoundError if the build has not ended."""
    record = json.loads((directory / "build.json").read_text())
    stages = {stage["name"]: stage["result"] for stage in record["stages"]}
    return Build(record["number"], record["result"], record["reason"], stages, record, directory)


def _missing() -> list[str]:
    """Return the Debian packages that the interpreter lacks."""
    return [
        *([] if GROOVY.exists() else ["groovy"]),
        *([] if shutil.which("java") else ["default-jre-headless"]),
    ]
