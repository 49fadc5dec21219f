"""Git repositories with a Jenkinsfile, and their builds."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.pipeline.job import Build, Job, run

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAME = """\
pipeline {{
    agent {{ label 'mcq' }}
    {sections}
    options {{
        disableConcurrentBuilds()
        skipDefaultCheckout()
        {options}
    }}
    stages {{
{stages}
    }}
    {post}
}}
"""


@dataclass(frozen=True)
class Repository:
    """A git repository that a test commits to."""

    root: Path

    def git(self, *arguments: str) -> str:
        """Run git in the repository, with a test identity."""
        command = [
            "git",
            "-C",
            str(self.root),
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@localhost",
            *arguments,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Write the files and commit all changes; return the commit."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")


def jenkinsfile(stages: str, *, options: str = "", sections: str = "", post: str = "") -> str:
    """Return a pipeline of these stages with only the required sections."""
    return FRAME.format(stages=stages, options=options, sections=sections, post=post)


def job(root: Path, files: Mapping[str, str], **settings: Any) -> Job:
    """Return a job for a repository with these files."""
    repository = Repository(root / "repository")
    if not repository.root.exists():
        repository.root.mkdir()
        repository.git("init", "--quiet")
    commit = repository.commit(files)
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), **settings.pop("environment", {})}
    scm = {"url": str(repository.root), "revision": commit}
    return Job("test", root / "jenkins", scm, environment=environment, **settings)


def run_build(job: Job, *, result: str = "SUCCESS") -> Build:
    """Run the job and check the result of the build."""
    with Path(os.devnull).open("w") as nowhere:
        build = run(job, nowhere)
    assert build.result == result, build.log
    return build
