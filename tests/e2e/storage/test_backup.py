"""A CronJob's Pod backs a namespace up to a real S3 server, and a restored solver becomes Ready again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hack.cluster.kind import KindCluster
from tests.e2e.steady import serving
from tests.e2e.support import eventually, restricted_namespace
from tests.support.s3_server import s3_server, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

pytestmark = pytest.mark.slow
NAMESPACE = "mcq-backup"
NAME = "kept"
BACKUP_URI = "s3://backups/cluster"
IN_NAMESPACE = f"--namespace={NAMESPACE}"


@pytest.fixture(scope="module")
def s3(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield an S3 server that pods can reach, with the bucket `backups`."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("pods reach this machine on the local cluster only")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "backups").mkdir()
    with s3_server(folder, host=deployed.provider.host_address()) as url:
        yield url


@pytest.fixture(scope="module")
def kubectl(deployed: Deployed, s3: str) -> Iterator[Kubectl]:
    """Yield a namespace with one Ready replica and a backup schedule in the far future."""
    kubectl = deployed.kubectl
    restricted_namespace(kubectl, NAMESPACE)
    literals = (f"--from-literal={name}={value}" for name, value in variables(s3).items())
    kubectl(IN_NAMESPACE, "create", "secret", "generic", "s3", *literals)
    assert isinstance(deployed.provider, KindCluster)
    with serving(deployed.provider.host_address()) as engine:
        kubectl("apply", "--filename", "-", stdin=json.dumps(solver_manifest(engine)))
        eventually(lambda: ready(kubectl), seconds=180, what="the solver is Ready")
        yield kubectl
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def solver_manifest(engine: str) -> dict[str, Any]:
    return {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"team": "blue"}},
        "spec": {
            "replicas": 1,
            "engine": {"type": "OpenAI", "openai": {"endpoint": engine, "model": "first"}},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
            "storage": {"backup": {
                "uri": BACKUP_URI, "schedule": "0 0 1 1 *", "credentialsSecretRef": {"name": "s3"},
            }},
        },
    }  # fmt: skip


def solver(kubectl: Kubectl) -> dict[str, Any]:
    live: dict[str, Any] = json.loads(kubectl(IN_NAMESPACE, "get", "mcqsolver", NAME, "--output", "json"))
    return live


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    conditions = solver(kubectl).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def ready(kubectl: Kubectl) -> bool:
    return bool(condition(kubectl, "Ready").get("status") == "True")


def test_a_backup_by_the_cron_job_is_listed_and_restores_the_solver(
    kubectl: Kubectl, s3: str, deployed: Deployed
) -> None:
    def command(*arguments: str) -> str:
        environment = {**os.environ, **variables(s3), "KUBECONFIG": str(deployed.provider.kubeconfig())}
        done = subprocess.run(
            [sys.executable, "-m", "mcq_operator", *arguments, "--from", BACKUP_URI],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert condition(kubectl, "BackedUp")["reason"] == "NotBackedUpYet"
    kubectl(IN_NAMESPACE, "create", "job", f"--from=cronjob/{NAME}-backups", "now")
    eventually(
        lambda: condition(kubectl, "BackedUp").get("status") == "True",
        seconds=120,
        what="the Job has made a backup",
    )
    [line] = command("backup", "list").splitlines()
    assert line.startswith(f"{NAMESPACE}/")
    assert "1 MCQSolvers" in line
    digest = line.split()[1]

    before = solver(kubectl)
    kubectl(IN_NAMESPACE, "delete", "mcqsolver", NAME)
    eventually(
        lambda: not kubectl(IN_NAMESPACE, "get", "pods", "--output", "name").split(),
        seconds=120,
        what="all its objects are deleted",
    )
    assert f"MCQSolver {NAMESPACE}/{NAME}: created" in command("restore", f"--digest={digest}")
    after = solver(kubectl)
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    eventually(lambda: ready(kubectl), seconds=180, what="the restored solver is Ready")
