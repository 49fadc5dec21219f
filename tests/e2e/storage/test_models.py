"""Models from a bucket: replicas on a real node download them from a real S3 server and answer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from tests.e2e.support import eventually, restricted_namespace
from tests.service.model_store import tiny
from tests.support.s3_server import s3_server, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

pytestmark = pytest.mark.slow
NAMESPACE = "mcq-models"
HOST = "models.localhost"
URI = "s3://models/team/tiny"
SPEC: dict[str, Any] = {
    "model": {"uri": URI, "credentialsSecretRef": {"name": "reader"}},
    "answering": {"defaultMode": "answer"},
    "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}},
    "storage": {"cache": {"type": "EmptyDir", "size": "1Gi"}},
}
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    # fault: the model, the expected reason, and a part of the message
    "digest": ({"digest": "sha256:" + "0" * 64}, "DigestMismatch", "correct the digest"),
    "credentials": ({"credentialsSecretRef": {"name": "stranger"}}, "AccessDenied", "AWS_ACCESS_KEY_ID"),
    "prefix": ({"uri": "s3://models/none"}, "ModelNotFound", "has no config.json"),
    "secret": ({"credentialsSecretRef": {"name": "none"}}, "CreateContainerConfigError", '"none" not found'),
}


@pytest.fixture(scope="module")
def kubectl(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield kubectl after applying all solvers at once and a bucket that pods can reach."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("pods reach this machine on the local cluster only")
    folder = tmp_path_factory.mktemp("buckets")
    tiny.make_answering(folder / URI.removeprefix("s3://"))
    kubectl = deployed.kubectl
    restricted_namespace(kubectl, NAMESPACE)
    with s3_server(folder, host=deployed.provider.host_address()) as url:
        apply(kubectl, secret("reader", variables(url)))
        apply(kubectl, secret("stranger", variables(url, keys=("stranger", "wrong"))))
        ingress = {"enabled": True, "className": "traefik", "host": HOST}
        apply(kubectl, solver("good", {}, replicas=2, ingress=ingress))
        for name, (model, _, _) in WRONG.items():
            apply(kubectl, solver(name, model, replicas=1))
        yield kubectl
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def apply(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": encoded
    }  # fmt: skip


def solver(name: str, model: dict[str, Any], *, replicas: int, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**SPEC, "replicas": replicas, "model": {**SPEC["model"], **model}, **fields},
    }  # fmt: skip


def test_replicas_download_their_model_from_a_bucket_and_answer(kubectl: Kubectl) -> None:
    """The answer names the model."""
    kubectl("--namespace", NAMESPACE, "wait", "mcqsolver/good", "--for=condition=Ready", "--timeout=240s")
    assert ask(f"http://{HOST}:8080", {**QUESTION, "mode": "answer"})["model"] == URI.removeprefix("s3://")


@pytest.mark.parametrize("name", WRONG)
def test_conditions_report_a_bucket_fault(kubectl: Kubectl, name: str) -> None:
    _, reason, text = WRONG[name]

    def degraded() -> dict[str, Any]:
        live = json.loads(kubectl("--namespace", NAMESPACE, "get", "mcqsolver", name, "--output", "json"))
        conditions: list[dict[str, Any]] = live.get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == "Degraded"), {})

    eventually(
        lambda: degraded().get("reason") == reason, seconds=120, what=f"{name} is reported as {reason}"
    )
    assert text in degraded()["message"]
