"""Models from a bucket and from an image: replicas on a real node get them from a real server and answer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.images import docker
from tests.e2e.support import eventually, restricted_namespace
from tests.service.model_store import tiny
from tests.support.s3_server import s3_server, variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

pytestmark = pytest.mark.slow
NAMESPACE = "mcq-models"
HOSTS = {"bucket": "bucket.localhost", "image": "image.localhost"}
URI = "s3://models/team/tiny"
BUCKET: dict[str, Any] = {"uri": URI, "credentialsSecretRef": {"name": "reader"}}
SPEC: dict[str, Any] = {
    "answering": {"defaultMode": "answer"},
    "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}},
    "storage": {"cache": {"type": "EmptyDir", "size": "1Gi"}},
}
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    # fault: the model, the expected reason, and a part of the message
    "digest": ({**BUCKET, "digest": "sha256:" + "0" * 64}, "DigestMismatch", "correct the digest"),
    "credentials": (
        {**BUCKET, "credentialsSecretRef": {"name": "stranger"}}, "AccessDenied", "AWS_ACCESS_KEY_ID",
    ),
    "prefix": ({**BUCKET, "uri": "s3://models/none"}, "ModelNotFound", "has no config.json"),
    "secret": (
        {**BUCKET, "credentialsSecretRef": {"name": "none"}}, "CreateContainerConfigError", '"none" not found',
    ),
    "no-image": ({"uri": "oci://localhost:5001/none:v1"}, "ImagePullBackOff", "localhost:5001/none:v1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def kubectl(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield kubectl after applying all solvers at once, an image in the registry, and a bucket that pods can reach."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("pods reach this machine on the local cluster only")
    folder = tmp_path_factory.mktemp("buckets")
    model = folder / URI.removeprefix("s3://")
    tiny.make_answering(model)
    kubectl = deployed.kubectl
    restricted_namespace(kubectl, NAMESPACE)
    with s3_server(folder, host=deployed.provider.host_address()) as url:
        apply(kubectl, secret("reader", variables(url)))
        apply(kubectl, secret("stranger", variables(url, keys=("stranger", "wrong"))))
        image = {"uri": f"oci://{push_image(deployed.provider, model)}"}
        for name, source in ("bucket", BUCKET), ("image", image):
            ingress = {"enabled": True, "className": "traefik", "host": HOSTS[name]}
            apply(kubectl, solver(name, source, replicas=2, ingress=ingress))
        for name, (wrong, _, _) in WRONG.items():
            apply(kubectl, solver(name, wrong, replicas=1))
        yield kubectl
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def apply(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))


def push_image(provider: KindCluster, model: Path) -> str:
    """Push an image with the model's files in its root; return its reference by digest."""
    dockerfile = model.parent / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    docker.build(dockerfile, model, "mcq-tiny-model")
    return provider.load("mcq-tiny-model")


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": encoded
    }  # fmt: skip


def solver(name: str, model: dict[str, Any], *, replicas: int, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**SPEC, "replicas": replicas, "model": model, **fields},
    }  # fmt: skip


@pytest.mark.parametrize(("name", "model"), [("bucket", "models/team/tiny"), ("image", "mcq-tiny-model")])
def test_replicas_get_their_model_and_answer(kubectl: Kubectl, name: str, model: str) -> None:
    """The answer names the model."""
    kubectl("--namespace", NAMESPACE, "wait", f"mcqsolver/{name}", "--for=condition=Ready", "--timeout=240s")
    assert model in ask(f"http://{HOSTS[name]}:8080", {**QUESTION, "mode": "answer"})["model"]


@pytest.mark.parametrize("name", WRONG)
def test_conditions_report_a_models_fault(kubectl: Kubectl, name: str) -> None:
    _, reason, text = WRONG[name]

    def degraded() -> dict[str, Any]:
        live = json.loads(kubectl("--namespace", NAMESPACE, "get", "mcqsolver", name, "--output", "json"))
        conditions: list[dict[str, Any]] = live.get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == "Degraded"), {})

    eventually(
        lambda: degraded().get("reason") == reason, seconds=120, what=f"{name} is reported as {reason}"
    )
    assert text in degraded()["message"]
