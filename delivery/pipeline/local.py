"""A job configured for the local cluster: its registry, its kubeconfig, a signing key."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hack.cluster.kind import KindCluster
from hack.cluster.registry import Registry
from hack.toolchain.errors import ProviderError
from hack.toolchain.progress import Progress

from delivery.pipeline.job import Job
from delivery.signing.cosign import Cosign

if TYPE_CHECKING:
    from hack.cluster.providers import Provider

# Variables that the agent must not inherit: make's, the shell's, and those that credentials set.
EXCLUDED_VARIABLES = (
    "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KUBECONFIG", "VIRTUAL_ENV", "PYTHONPATH", "CLUSTER", "COVERAGE_FILE",
    "REPORTS",
)  # fmt: skip


def local_job(
    cluster: Provider, name: str, home: Path, scm: dict[str, str], *,
    parameters: dict[str, str | bool], environment: dict[str, str], **settings: Any,
) -> Job:  # fmt: skip
    """Return a job that delivers into the running cluster; `settings` are other fields of Job.

    They override the defaults. Raises ProviderError for any cluster but kind: use Jenkins for your own cluster.
    """
    if not isinstance(cluster, KindCluster):
        raise ProviderError("`make pipeline` delivers into the local kind cluster: unset CLUSTER.")
    key, password = _signing_key()
    credentials = {
        # The local registry accepts any login.
        "mcq-registry": {"kind": "usernamePassword", "username": "jenkins", "password": "not-looked-at"},
        "mcq-kubeconfig-dev": {"kind": "file", "content": cluster.kubeconfig().read_text()},
        "mcq-cosign-key": {"kind": "file", "content": key},
        "mcq-cosign-password": {"kind": "string", "secret": password},
    }
    agent = {key: value for key, value in os.environ.items() if key not in EXCLUDED_VARIABLES}
    path = os.pathsep.join([str(cluster.kubectl().parent), os.environ["PATH"]])
    return Job(
        name,
        home,
        scm,
        parameters={"REGISTRY": f"{Registry.address}/pipeline", **parameters},
        environment={**agent, "PATH": path, **environment},
        **{"credentials": credentials, **settings},
    )


def _signing_key() -> tuple[str, str]:
    """Return a private key for this job, and its password."""
    password = secrets.token_hex()
    with tempfile.TemporaryDirectory() as directory:
        prefix = Path(directory) / "cosign"
        cosign = Cosign.built(Progress())
        cosign("generate-key-pair", "--output-key-prefix", prefix, COSIGN_PASSWORD=password)
        return prefix.with_suffix(".key").read_text(), password
