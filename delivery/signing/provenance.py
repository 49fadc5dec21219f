"""Describes the sources of a build as SLSA provenance v1: https://slsa.dev/spec/v1.1/provenance."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hack.git import git, revision
from hack.images import docker
from hack.images.build import BASE_LABEL, tag, version
from hack.images.platforms import target_platforms
from hack.toolchain.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILD_TYPE = "https://mcq-operator.dev/build/make/v1"
BY_HAND = "https://mcq-operator.dev/build/by-hand"
"""The builder of a build outside Jenkins."""
_SERVICE = ("service/requirements.lock", "service/requirements-build.lock")
LOCKS: Mapping[str, tuple[str, ...]] = {
    "operator": ("operator/requirements.lock",),
    "service": _SERVICE,
    "service-torch": (
        *_SERVICE,
        "service/requirements-torch.lock",
        "service/requirements-transformers.lock",
    ),
}
"""The lock files of each image's packages."""


def provenance(program: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the SLSA predicate of a local image. `environment` has Jenkins' variables. Raises ImageError."""
    source, commit = f"git+{_repository(environment)}", revision(ROOT)
    locks = [
        {"uri": f"{source}#{lock}", "digest": {"sha256": _sha256(lock)}}
        for lock in ("hack/requirements-uv.lock", *LOCKS[program])
    ]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "image": program,
                "version": version(),
                "platforms": target_platforms(),
                "torchBackend": os.environ.get("TORCH_BACKEND", ""),
            },
            "resolvedDependencies": [
                {"uri": source, "digest": {"gitCommit": commit}},
                *_bases(program),
                *locks,
            ],
        },
        "runDetails": {
            "builder": {"id": environment.get("JENKINS_URL") or BY_HAND},
            "metadata": {
                **({"invocationId": url} if (url := environment.get("BUILD_URL")) else {}),
                "finishedOn": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        },
    }


def _bases(program: str) -> list[dict[str, Any]]:
    """Return the base image of each platform, by the digest of its configuration."""
    bases = sorted({docker.label(tag(program, platform), BASE_LABEL) for platform in target_platforms()})
    return [
        {"uri": f"docker:{base}", "digest": {"sha256": docker.identity(base).removeprefix("sha256:")}}
        for base in bases
    ]


def _repository(environment: Mapping[str, str]) -> str:
    """Return the repository's address without a login, or "local" if it has none."""
    try:
        address = environment.get("GIT_URL") or git(ROOT, "remote", "get-url", "origin")
    except subprocess.CalledProcessError:
        return "local"
    return re.sub(r"//[^/@]*@", "//", address)


def _sha256(lock: str) -> str:
    return hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()
