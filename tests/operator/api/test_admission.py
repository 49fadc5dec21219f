"""The API server refuses an invalid spec with a message that says what to change."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.operator.conftest import ROOT, Kubectl
from tests.operator.live import until


def manifest(spec: dict[str, Any], name: str = "demo") -> str:
    return json.dumps(
        {
            "apiVersion": "mcq-operator.dev/v1alpha1",
            "kind": "MCQSolver",
            "metadata": {"name": name},
            "spec": spec,
        }
    )


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replicas": -1}, "spec.replicas in body should be greater than or equal to 0"),
    ({"replicas": "three"}, "must be of type integer"),
    ({"replcias": 2}, 'unknown field "spec.replcias"'),
    ({"model": {"name": "qwen"}}, 'unknown field "spec.model.name"'),
    ({"model": {"uri": "Qwen/Qwen2.5"}}, "uri must be hf://<organisation>/<name>"),
    ({"model": {"uri": "hf://Qwen"}}, "uri must be hf://<organisation>/<name>"),
    ({"model": {"uri": "hf://Qwen/a@main"}}, "branch, tag or commit into revision"),
    ({"model": {"uri": "s3://"}}, "s3://<bucket>/<prefix>"),
    ({"model": {"uri": "s3://models//qwen"}}, "a directory with the model's files"),
    ({"model": {"uri": "pvc://Models/qwen"}}, "pvc://<claim>/<path>"),
    ({"model": {"uri": "pvc://models/../qwen"}}, "pvc://<claim>/<path>"),
    ({"model": {"uri": "https://me:secret@example.com/qwen"}}, "https://<host>/<path>"),
    ({"model": {"uri": "file:///qwen"}}, "uri must be hf://<organisation>/<name>"),
    ({"model": {"uri": "s3://models/qwen", "revision": "v1"}}, "model.revision is for an hf:// uri only"),
    (
        {"model": {"uri": "pvc://models/qwen", "credentialsSecretRef": {"name": "a"}}},
        "model.credentialsSecretRef is for an s3:// or hf:// uri only",
    ),
    ({"model": {"uri": ""}}, "should be at least 1 chars long"),
    ({"model": {"digest": "sha256:12"}}, "64 lower-case hexadecimal digits"),
    ({"model": {"revision": "-x"}}, "revision must be a branch, tag or commit"),
    ({"model": {"precision": "int3"}}, 'supported values: "auto", "float32", "bfloat16"'),
    ({"engine": {"type": "Magic"}}, 'supported values: "Transformers", "OpenAI"'),
    ({"engine": {"type": "OpenAI"}}, "engine.openai.endpoint is required when engine.type is OpenAI"),
    (
        {"engine": {"openai": {"endpoint": "http://vllm:8000"}}},
        "engine.openai is only for engine.type OpenAI",
    ),
    (
        {"answering": {"targetAccuracy": 0.9, "minConfidence": 0.5}},
        "give either answering.minConfidence or answering.targetAccuracy",
    ),
    (
        {"answering": {"targetAccuracy": 0.9, "defaultMode": "reason"}},
        "set answering.defaultMode to answer or explain",
    ),
    ({"answering": {"targetAccuracy": 1}}, "answering.targetAccuracy must be above 0 and below 1"),
    ({"engine": {"type": "OpenAI", "openai": {"model": "x"}}}, "endpoint: Required value"),
    (
        {"engine": {"type": "OpenAI", "openai": {"endpoint": "vllm:8000"}}},
        "endpoint must be an http:// or https://",
    ),
    (
        {"engine": {"type": "OpenAI", "threads": 2, "openai": {"endpoint": "http://a"}}},
        "the other server runs the model",
    ),
    (
        {
            "engine": {"type": "OpenAI", "openai": {"endpoint": "http://a"}},
            "model": {"credentialsSecretRef": {"name": "a"}},
        },
        "name it in engine.openai.model",
    ),
    (
        {"engine": {"type": "OpenAI", "openai": {"endpoint": "http://a"}}, "model": {"precision": "int8"}},
        "name it in engine.openai.model",
    ),
    (
        {"engine": {"type": "OpenAI", "openai": {"endpoint": "http://a", "apiKeySecretRef": {"name": "a"}}}},
        "key: Required value",
    ),
    ({"auth": {"apiKeysSecretRef": {"name": "No Secret"}}}, "must be the name of a Kubernetes object"),
    ({"engine": {"threads": -1}}, "greater than or equal to 0"),
    ({"storage": {"backup": {}}}, "spec.storage.backup.uri: Required value"),
    ({"storage": {"backup": {"uri": "backups"}}}, "uri must be s3://<bucket> or s3://<bucket>/<prefix>"),
    ({"storage": {"backup": {"uri": "s3://a/b c"}}}, "uri must be s3://<bucket>"),
    ({"storage": {"backup": {"uri": "s3://ab/c/../d"}}}, "uri must be s3://<bucket>"),
    ({"storage": {"backup": {"uri": "s3://ab", "schedule": "daily"}}}, "a cron expression of five fields"),
    (
        {"storage": {"backup": {"uri": "s3://ab", "keep": 0}}},
        "keep in body should be greater than or equal to 1",
    ),
    (
        {"storage": {"backup": {"uri": "s3://ab", "credentialsSecretRef": {"name": "No Secret"}}}},
        "must be the name of a Kubernetes object",
    ),
    ({"ingress": {"enabled": True}}, "host is required when ingress is enabled"),
    ({"ingress": {"tlsSecretName": "t"}}, "tlsSecretName needs ingress.host"),
    ({"ingress": {"enabled": True, "host": "http://a.b"}}, "without scheme, port or wildcard"),
    ({"ingress": {"enabled": True, "host": "a.b:80"}}, "without scheme, port or wildcard"),
    ({"ingress": {"enabled": True, "host": "*.a.b"}}, "without scheme, port or wildcard"),
    ({"ingress": {"enabled": True, "host": "a.b", "path": "quiz"}}, "path must start with '/'"),
    ({"ingress": {"enabled": True, "host": "a.b", "path": "/mcq//v1"}}, "no empty, '.' or '..' segment"),
    ({"ingress": {"enabled": True, "host": "a.b", "path": "/mcq/../v1"}}, "no empty, '.' or '..' segment"),
    ({"limits": {"deadlineSeconds": 0}}, "greater than or equal to 1"),
    ({"limits": {"maxQueuedRequests": 0}}, "greater than or equal to 1"),
    ({"answering": {"defaultMode": "guess"}}, 'supported values: "answer", "explain"'),
    ({"disruption": {"minAvailable": -1}}, "not negative, or a percentage"),
    ({"disruption": {"minAvailable": "half"}}, "not negative, or a percentage"),
    ({"storage": {"cache": {"type": "EmptyDir", "claimName": "x"}}}, "claimName is only for type PVC"),
    ({"storage": {"cache": {"size": "big"}}}, "spec.storage.cache.size in body should match"),
    (
        {"podTemplate": {"env": [{"name": "MCQ_PORT", "value": "1"}]}},
        "MCQ_PORT: the operator sets this variable itself",
    ),
    ({"podTemplate": {"env": [{"value": "1"}]}}, "spec.podTemplate.env[0].name: Required value"),
    ({"podTemplate": {"volumes": [{"name": "cache"}]}}, "cache: the operator has a volume of this name"),
    (
        {"podTemplate": {"volumeMounts": [{"name": "ca", "mountPath": "/etc/mcq"}]}},
        "/etc/mcq: the operator or the image uses this path",
    ),
    (
        {"podTemplate": {"sidecars": [{"name": "service", "image": "x"}]}},
        "service: the operator has a container of this name",
    ),
    (
        {
            "storage": {
                "backup": {"uri": "s3://bucket/c", "podTemplate": {"initContainers": [{"name": "backup"}]}}
            }
        },
        "backup: the operator has a container of this name",
    ),
    (
        {"podTemplate": {"metadata": {"labels": {"app.kubernetes.io/name": "mine"}}}},
        "the operator sets these labels itself",
    ),
    (
        {"podTemplate": {"metadata": {"annotations": {"mcq-operator.dev/model": "mine"}}}},
        "the operator sets these annotations itself",
    ),
    ({"podTemplate": {"containers": []}}, 'unknown field "spec.podTemplate.containers"'),
    ({"podTemplate": {"serviceAccountName": "admin"}}, 'unknown field "spec.podTemplate.serviceAccountName"'),
    ({"monitoring": {"alerts": {"enabled": "maybe"}}}, 'supported values: "Auto"'),
    ({"service": {"ipFamilyPolicy": "Both"}}, "spec.service.ipFamilyPolicy: Unsupported value"),
    (
        {"engine": {"type": "OpenAI", "openai": {"endpoint": "http://[fd00::1"}}},
        "endpoint must be an http:// or https:// URL",
    ),
    ({"model": {"uri": "oci://registry.example.com"}}, "uri must be hf://"),
    ({"resources": {"limits": {"memory": "lots"}}}, "should match"),
    ({"tracing": {"enabled": True}}, "endpoint is required when tracing is enabled"),
    ({"tracing": {"endpoint": "jaeger:4318"}}, "endpoint must be an http:// or https:// URL"),
    ({"tracing": {"samplingRatio": 1.5}}, "less than or equal to 1"),
    ({"scheduling": {"topologySpread": [{"maxSkew": 1}]}}, "topologyKey: Required value"),
    (
        {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
        "Duplicate value",
    ),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED, ids=[json.dumps(spec) for spec, _ in REFUSED])
def test_an_invalid_spec_is_refused_with_advice(
    cluster_kubectl: Kubectl, spec: dict[str, Any], message: str
) -> None:
    done = cluster_kubectl.run("create", "-f", "-", stdin=manifest(spec))
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("name", ["9lives", "with.dots", "x" * 51])
def test_a_name_that_cannot_name_a_service_is_refused(cluster_kubectl: Kubectl, name: str) -> None:
    done = cluster_kubectl.run("create", "-f", "-", stdin=manifest({}, name))
    assert done.returncode != 0
    assert "at most 50 lower-case letters" in done.stderr


def test_an_empty_spec_gets_the_defaults(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=manifest({}))
    stored = kubectl.get("mcq", "demo")
    assert stored is not None
    assert stored["spec"]["replicas"] == 3
    assert stored["spec"]["model"]["uri"] == "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
    assert stored["spec"]["storage"]["cache"] == {
        "type": "EmptyDir",
        "size": "16Gi",
        "accessMode": "ReadWriteOnce",
    }
    assert stored["spec"]["monitoring"]["alerts"]["enabled"] == "Auto"


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ({"size": "8Gi"}, "a claim can't shrink"),
        ({"storageClassName": "other"}, "of an existing claim can't change"),
        ({"accessMode": "ReadWriteMany"}, "of an existing claim can't change"),
        ({"size": "32Gi"}, None),
        ({"claimName": "mine", "accessMode": "ReadWriteMany"}, None),
        ({"type": "EmptyDir", "size": "8Gi"}, None),
    ],
)
def test_a_cache_claim_changes_only_as_kubernetes_allows(
    kubectl: Kubectl, cache: dict[str, Any], message: str | None
) -> None:
    kubectl("create", "-f", "-", stdin=manifest({"storage": {"cache": {"type": "PVC"}}}))
    patch = json.dumps({"spec": {"storage": {"cache": cache}}})
    done = kubectl.run("patch", "mcq", "demo", "--type=merge", "--patch", patch)
    if message is None:
        assert done.returncode == 0, done.stderr
    else:
        assert message in done.stderr


@pytest.fixture
def promote_policy(cluster_kubectl: Kubectl) -> Iterator[None]:
    """The policy that limits who may let a change through its gate; other tests run without it."""
    policy = str(ROOT / "config/policies/promote.yaml")
    cluster_kubectl("apply", "--server-side", "-f", policy)
    yield
    cluster_kubectl("delete", "-f", policy)


async def test_an_approval_must_name_its_own_user(kubectl: Kubectl, promote_policy: None) -> None:
    kubectl("create", "-f", "-", stdin=manifest({}))

    def promote(approval: str, *more: str) -> str:
        command = ("annotate", "--overwrite", "mcq/demo", f"mcq-operator.dev/promote={approval}", *more)
        return kubectl.run(*command).stderr

    # The API server enforces a new policy with a delay, and checks only a changed annotation.
    tries = itertools.count()
    refused = 'who approves it, as the API server knows you: "DIGEST admin: ..."'
    change = "0123456789abcdef"
    await until(lambda: refused in promote(f"{change} alice: try {next(tries)}"))
    assert not promote(f"{change} admin: checked by hand")
    bob = ("--as=bob", "--as-group=system:masters")
    assert '"DIGEST bob: ..."' in promote(f"{change} admin: checked again", *bob)
    for approval in ("bob: checked", "0123 bob: checked", f"{change}0 bob: checked", f"{change} "):
        assert '"DIGEST bob: ..."' in promote(approval, *bob)
    kubectl("label", "mcq/demo", "team=one", *bob)
    kubectl("annotate", "mcq/demo", "mcq-operator.dev/promote-", *bob)
