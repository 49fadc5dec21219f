"""A job as it would be configured for the local cluster: its registry, its kubeconfig, a key to sign with."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hack.cluster.errors import ProviderError
from hack.cluster.kind import KindCluster
from hack.cluster.progress import Progress
from hack.cluster.registry import Registry
from hack.delivery.sign import Cosign
from hack.pipeline.job import Job

if TYPE_CHECKING:
    from hack.cluster.providers import Provider

# Not the agent's: what this process was told by its own make or shell, and what the job's credentials are for.
FOREIGN = (
    "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KUBECONFIG", "VIRTUAL_ENV", "PYTHONPATH", "CLUSTER", "COVERAGE_FILE",
    "REPORTS",
)  # fmt: skip


def local_job(
    cluster: Provider, name: str, home: Path, scm: dict[str, str], *,
    parameters: dict[str, str | bool], environment: dict[str, str], **settings: Any,
) -> Job:  # fmt: skip
    """A job that delivers into the cluster, which is up; the settings are Job's, over those made here.

    Raises ProviderError for another cluster than kind: a team's own cluster has a Jenkins.
    """
    if not isinstance(cluster, KindCluster):
        raise ProviderError("`make pipeline` delivers into the local kind cluster: unset CLUSTER.")
    key, password = _signing_key()
    credentials = {
        # The local registry lets everybody in, whatever the name.
        "mcq-registry": {"kind": "usernamePassword", "username": "jenkins", "password": "not-looked-at"},
        "mcq-kubeconfig": {"kind": "file", "content": cluster.kubeconfig().read_text()},
        "mcq-cosign-key": {"kind": "file", "content": key},
        "mcq-cosign-password": {"kind": "string", "secret": password},
    }
    agent = {key: value for key, value in os.environ.items() if key not in FOREIGN}
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
    """A private key for this job alone, and the password that opens it."""
    password = secrets.token_hex()
    with tempfile.TemporaryDirectory() as directory:
        prefix = Path(directory) / "cosign"
        cosign = Cosign.built(Progress())
        cosign("generate-key-pair", "--output-key-prefix", prefix, COSIGN_PASSWORD=password)
        return prefix.with_suffix(".key").read_text(), password
