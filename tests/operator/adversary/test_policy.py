"""An MCQPolicy limits a tenant's values: the API server's CEL and `mcq_operator check --policy` refuse the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.operator.adversary.conftest import Tenant, resource
from tests.operator.conftest import ROOT, Kubectl
from tests.operator.live import until

from mcq_operator.api import Manifest
from mcq_operator.cli.check import policy_refusals

TEAM = {
    "images": ["registry.example.com/mcq/*", "ghcr.io/x/y@sha256:abc"],
    "endpoints": ["http://vllm.models.svc:8000", "https://*.example.com"],
    "models": ["hf://Qwen/*", "s3://models/team/*", "https://models.example.com/*"],
    "questions": ["https://exams.example.com/*", "s3://exams/a.jsonl"],
    "backups": ["s3://backups/team/*"],
    "claims": ["models", "shared-*"],
    "secrets": ["mcq-*", "clients"],
    "hosts": [
        {"namespaces": ["test-*"], "hosts": ["mcq.example.com", "*.team.example.com"]},
        {"namespaces": ["other"], "hosts": ["*"]},
    ],
    "ingressAnnotations": ["cert-manager.io/*", "example.com/team"],
    "serviceAccountAnnotations": ["eks.amazonaws.com/role-arn"],
    "priorityClasses": ["batch"],
    "runtimeClasses": ["gvisor"],
    "tolerations": ["gpu", "team.example.com/*"],
    "podTemplate": ["env"],
}


class Case(NamedTuple):
    """A spec, the refused value, and the policy's field that refuses it; an allowed spec has neither."""

    spec: dict[str, Any]
    bad: str = ""
    field: str = ""
    kind: str = "MCQSolver"


def exam(spec: dict[str, Any], bad: str = "", field: str = "") -> Case:
    required = {"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "q"}}}
    return Case({**required, **spec}, bad, field, "MCQExam")


def engine(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"engine": {"type": "OpenAI", "openai": {"endpoint": endpoint, **more}}}


def escalation(key: dict[str, str]) -> dict[str, Any]:
    return {"answering": {"escalateTo": {"solverRef": {"name": "large"}, "apiKeySecretRef": key}}}


def ingress(host: str = "mcq.example.com", **more: Any) -> dict[str, Any]:
    return {"ingress": {"enabled": True, "host": host, **more}}


def gateway(*hosts: str) -> dict[str, Any]:
    names = {"hostnames": [*hosts]} if hosts else {}
    return {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}], **names}}


def uri(text: str) -> dict[str, Any]:
    return {"model": {"uri": text}}


def ref(name: str, **more: str) -> dict[str, Any]:
    return {"name": name, **more}


VLLM = "http://vllm.models.svc:8000"
S3 = "s3://backups/team/a"

CASES = [
    Case({}),
    Case({"image": "registry.example.com/mcq/service:1"}),
    Case({"image": "ghcr.io/x/y@sha256:abc"}),
    Case({"image": "registry.example.com.evil.com/mcq/x"}, "registry.example.com.evil.com/mcq/x", "images"),
    Case({"image": "ghcr.io/x/y@sha256:abcd"}, "ghcr.io/x/y@sha256:abcd", "images"),
    Case({"image": "registry.example.com/mcq"}, "registry.example.com/mcq", "images"),
    Case(engine(VLLM + "/v1")),
    Case(engine(VLLM)),
    Case(engine("https://A.example.com/v1")),
    Case(engine("https://a.b.example.com")),
    Case(engine("http://a.example.com"), "http://a.example.com", "endpoints"),
    Case(engine("https://example.com"), "https://example.com", "endpoints"),
    Case(engine("https://a.example.com:444/v1"), "https://a.example.com:444/v1", "endpoints"),
    Case(engine("https://evil.com/a.example.com"), "https://evil.com/a.example.com", "endpoints"),
    Case(engine("http://vllm.models.svc.evil.com:8000"), "http://vllm.models.svc.evil.com:8000", "endpoints"),
    Case(engine("http://listener.default:9"), "http://listener.default:9", "endpoints"),
    Case({"tracing": {"enabled": True, "endpoint": "http://o:4318"}}, "http://o:4318", "endpoints"),
    Case(
        {"autoscaling": {"enabled": True, "provider": "KEDA", "prometheusAddress": "http://169.254.169.254"}},
        "http://169.254.169.254",
        "endpoints",
    ),
    Case(uri("hf://Qwen/a")),
    Case(uri("s3://models/team/a/b")),
    Case(uri("https://models.example.com/a")),
    Case(uri("hf://QwenX/a"), "hf://QwenX/a", "models"),
    Case(uri("hf://evil/Qwen"), "hf://evil/Qwen", "models"),
    Case(uri("s3://models/teamx/a"), "s3://models/teamx/a", "models"),
    Case(uri("http://models.example.com/a"), "http://models.example.com/a", "models"),
    Case(uri("https://models.example.com.evil.com/a"), "https://models.example.com.evil.com/a", "models"),
    Case(uri("https://models.example.com:8443/a"), "https://models.example.com:8443/a", "models"),
    Case(uri("pvc://models/a")),
    Case(uri("pvc://shared-1")),
    Case(uri("pvc://theirs/a"), "theirs", "claims"),
    Case({"storage": {"cache": {"type": "PVC", "claimName": "models"}}}),
    Case({"storage": {"cache": {"type": "PVC", "claimName": "other-model-cache"}}}, "other-model-cache", "claims"),
    Case({"storage": {"backup": {"uri": S3}}}),
    Case({"storage": {"backup": {"uri": "s3://elsewhere/team"}}}, "s3://elsewhere/team", "backups"),
    # With another server as the engine, the operator does not use the model's URI.
    Case({**engine(VLLM), **uri("hf://other/x")}),
    Case({"auth": {"apiKeysSecretRef": ref("clients")}}),
    Case({"auth": {"apiKeysSecretRef": ref("mcq-keys")}}),
    Case({"auth": {"apiKeysSecretRef": ref("clients2")}}, "clients2", "secrets"),
    Case(engine(VLLM, apiKeySecretRef=ref("db", key="password")), "db", "secrets"),
    Case(escalation(ref("clients", key="token"))),
    Case(escalation(ref("db", key="password")), "db", "secrets"),
    Case({"model": {"uri": "hf://Qwen/a", "credentialsSecretRef": ref("db")}}, "db", "secrets"),
    Case({"imagePullSecrets": [ref("mcq-a"), ref("db"), ref("web")]}, "db, web", "secrets"),
    Case({"storage": {"backup": {"uri": S3, "credentialsSecretRef": ref("db")}}}, "db", "secrets"),
    Case(ingress(tlsSecretName="web-tls"), "web-tls", "secrets"),
    Case(ingress()),
    Case(ingress("a.team.example.com")),
    Case(ingress("team.example.com"), "team.example.com", "hosts"),
    Case(ingress("xteam.example.com"), "xteam.example.com", "hosts"),
    Case(ingress("other.example.com"), "other.example.com", "hosts"),
    Case({"ingress": {"host": "other.example.com"}}, "other.example.com", "hosts"),
    Case(gateway("mcq.example.com")),
    Case(gateway("mcq.example.com", "web.example.com"), "web.example.com", "hosts"),
    Case(gateway(), "*", "hosts"),
    Case({"gateway": {"parentRefs": [{"name": "public"}]}}),
    Case(ingress(annotations={"cert-manager.io/issuer": "a", "example.com/team": "b"})),
    Case(
        ingress(annotations={"nginx.ingress.kubernetes.io/server-snippet": "x"}),
        "nginx.ingress.kubernetes.io/server-snippet",
        "ingressAnnotations",
    ),
    Case({"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "a"}}}),
    Case({"serviceAccount": {"annotations": {"iam.gke.io/x": "a"}}}, "iam.gke.io/x", "serviceAccountAnnotations"),
    Case({"scheduling": {"priorityClassName": "batch", "runtimeClassName": "gvisor"}}),
    Case(
        {"scheduling": {"priorityClassName": "system-node-critical"}},
        "system-node-critical",
        "priorityClasses",
    ),
    Case({"scheduling": {"runtimeClassName": "privileged"}}, "privileged", "runtimeClasses"),
    Case({"scheduling": {"tolerations": [{"key": "gpu"}, {"key": "team.example.com/a"}]}}),
    Case({"scheduling": {"tolerations": [{"operator": "Exists"}]}}, "", "tolerations"),
    Case(
        {"scheduling": {"tolerations": [{"key": "node-role.kubernetes.io/control-plane"}]}},
        "node-role.kubernetes.io/control-plane",
        "tolerations",
    ),
    exam({}),
    exam({"questions": {"uri": "https://exams.example.com/a.jsonl"}}),
    exam({"questions": {"uri": "s3://exams/a.jsonl"}}),
    exam({"questions": {"uri": "s3://exams/b.jsonl"}}, "s3://exams/b.jsonl", "questions"),
    exam({"questions": {"uri": "http://10.0.0.1/a"}}, "http://10.0.0.1/a", "questions"),
    exam(
        {"questions": {"uri": "https://exams.example.com@evil.com/a"}},
        "https://exams.example.com@evil.com/a",
        "questions",
    ),
    exam(
        {"questions": {"uri": "https://exams.example.com/%2e%2e/a"}},
        "https://exams.example.com/%2e%2e/a",
        "questions",
    ),
    exam(
        {"questions": {"uri": "https://exams.example.com/a/.."}}, "https://exams.example.com/a/..", "questions"
    ),
    exam({"questions": {"uri": "pvc://theirs/a"}}, "theirs", "claims"),
    exam(
        {"questions": {"uri": "s3://exams/a.jsonl", "credentialsSecretRef": ref("db")}}, "db", "secrets"
    ),
    exam({"apiKeySecretRef": ref("db", key="a")}, "db", "secrets"),
    exam({"serviceAccount": {"annotations": {"a/b": "c"}}}, "a/b", "serviceAccountAnnotations"),
]  # fmt: skip
ENV = {"podTemplate": {"env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}]}}
MOUNTS = {"podTemplate": {"envFrom": [{"secretRef": {"name": "db"}}]}}
CASES += [
    Case(ENV),
    Case(MOUNTS, "envFrom", "podTemplate"),
    Case({"storage": {"backup": {"uri": S3, **MOUNTS}}}, "envFrom", "podTemplate"),
    exam(MOUNTS, "envFrom", "podTemplate"),
    Case(
        {"storage": {"backup": {"uri": S3, "scheduling": {"priorityClassName": "high"}}}},
        "high",
        "priorityClasses",
    ),
    exam({"scheduling": {"tolerations": [{"key": "other"}]}}, "other", "tolerations"),
]
NAMES = [f"case-{number}" for number in range(len(CASES))]


def policy(name: str, namespace: str, spec: dict[str, Any]) -> Manifest:
    return resource("MCQPolicy", name, {"namespaces": [namespace], **spec})


@pytest.fixture(scope="module")
def policy_kubectl(cluster_kubectl: Kubectl) -> Kubectl:
    """kubectl after the tenants' admission policy is applied; the policy stays, because other workers need it."""
    cluster_kubectl("apply", "--server-side", "-f", str(ROOT / "config/policies/tenants.yaml"))
    return cluster_kubectl


async def wait_in_force(kubectl: Kubectl, name: str) -> None:
    """Wait until the API server enforces the policy; no policy of these tests allows the probe's image."""
    probe = json.dumps(resource("MCQSolver", "probe", {"image": "not/allowed"}))
    refusal = f"MCQPolicy {name}"
    await until(
        lambda: refusal in kubectl.run("create", "--dry-run=server", "-f", "-", stdin=probe).stderr, 60
    )


@pytest.fixture
def policies(policy_kubectl: Kubectl, kubectl: Kubectl) -> Iterator[list[Manifest]]:
    """The policies that the test creates; they are deleted after it."""
    created: list[Manifest] = []
    yield created
    for each in created:
        policy_kubectl("delete", "mcqpolicy", each["metadata"]["name"], "--ignore-not-found")


async def create_policy(
    kubectl: Kubectl, policies: list[Manifest], spec: dict[str, Any], suffix: str = "a"
) -> Manifest:
    manifest = policy(f"{kubectl.namespace}-{suffix}", kubectl.namespace, spec)
    policies.append(manifest)
    replace(kubectl, namespace="")("create", "-f", "-", stdin=json.dumps(manifest))
    await wait_in_force(kubectl, manifest["metadata"]["name"])
    return manifest


async def test_the_api_server_and_the_check_command_refuse_the_same_values(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest], tmp_path: Path
) -> None:
    """Their messages are the same, too."""
    limits = await create_policy(kubectl, policies, TEAM)
    documents = [resource(case.kind, name, case.spec) for name, case in zip(NAMES, CASES, strict=True)]
    done = tenant.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(as_list(documents)))
    file, policy_file = tmp_path / "all.yaml", tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    policy_file.write_text(yaml.safe_dump(limits))
    lines = policy_refusals(str(file), [str(policy_file)], namespace=kubectl.namespace)
    by_server = dict(
        re.findall(r'"(case-\d+)" is forbidden: .* denied request: (.*)$', done.stderr, re.MULTILINE)
    )
    by_command = {f"case-{int(line.split()[2][:-1]) - 1}": line.partition(": ")[2] for line in lines}
    expected = {
        name: f"{case.bad}: not allowed in {refused_field(by_command.get(name, ''))} by spec.{case.field} of MCQPolicy"
        f" {limits['metadata']['name']}"
        for name, case in zip(NAMES, CASES, strict=True)
        if case.field
    }
    assert by_command == expected
    assert by_server == expected
    assert len(done.stdout.splitlines()) == len(CASES) - len(expected), done.stderr


def refused_field(line: str) -> str:
    """Return the field that a refusal names; each rule describes it in its own words."""
    return line.partition(" in ")[2].partition(" by spec.")[0]


def as_list(documents: list[Manifest]) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": documents}


async def test_an_empty_policy_refuses_every_restricted_value(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """It allows the defaults, public models, and Secrets with our prefix."""
    await create_policy(kubectl, policies, {})
    allowed: list[dict[str, Any]] = [
        {},
        {"model": {"uri": "hf://any/model"}},
        {"auth": {"apiKeysSecretRef": {"name": "mcq-keys"}}},
    ]
    bad: list[dict[str, Any]] = [
        {"image": "nginx"},
        engine("http://vllm"),
        {"auth": {"apiKeysSecretRef": {"name": "keys"}}},
        ingress(),
        {"storage": {"backup": {"uri": "s3://a1"}}},
        {"scheduling": {"tolerations": [{"key": "a"}]}},
    ]
    documents = [resource("MCQSolver", f"s-{n}", spec) for n, spec in enumerate([*allowed, *bad])]
    done = tenant.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(as_list(documents)))
    assert len(done.stdout.splitlines()) == len(allowed), done.stderr
    assert done.stderr.count("denied request") == len(bad)


async def test_every_policy_of_a_namespace_must_allow_a_value(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    await create_policy(kubectl, policies, {"images": ["a/*"], "secrets": ["*"]}, "a")
    await create_policy(kubectl, policies, {"images": ["a/b"]}, "b")
    manifest = json.dumps(resource("MCQSolver", "demo", {"image": "a/c"}))
    assert f"{kubectl.namespace}-b" in tenant.run("create", "-f", "-", stdin=manifest).stderr
    manifest = json.dumps(resource("MCQSolver", "demo", {"image": "a/b"}))
    assert tenant.run("create", "-f", "-", stdin=manifest).returncode == 0


async def test_an_object_older_than_the_policy_changes_only_to_allowed_values(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """Its labels may change, and it may be deleted."""
    tenant.solver({"image": "old/image"})
    await create_policy(kubectl, policies, {})
    assert tenant.run("label", "mcq", "demo", "team=one").returncode == 0
    refused = tenant.run("patch", "mcq", "demo", "--type=merge", "--patch", '{"spec":{"replicas":1}}')
    assert "old/image: not allowed in image by spec.images" in refused.stderr
    corrected = '{"spec":{"replicas":1,"image":null}}'
    assert tenant.run("patch", "mcq", "demo", "--type=merge", "--patch", corrected).returncode == 0
    assert tenant.run("delete", "mcq", "demo").returncode == 0


async def test_only_the_operator_may_create_a_candidate_with_its_solvers_cache(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """The candidate names the claim of its solver's cache."""
    operator = f"operator-of-{kubectl.namespace}"
    await create_policy(kubectl, policies, {"operators": [operator]})
    candidate = resource(
        "MCQSolver",
        "demo-candidate",
        {"storage": {"cache": {"type": "PVC", "claimName": "demo-model-cache"}}},
    )
    create = ("create", "--dry-run=server", "-f", "-")
    assert "demo-model-cache" in tenant.run(*create, stdin=json.dumps(candidate)).stderr
    kubectl("create", "rolebinding", "operator", "--role=author", f"--user={operator}")
    ours = "system:serviceaccount:mcq-operator-system:mcq-operator"
    kubectl("create", "rolebinding", "installed", "--role=author", f"--user={ours}")
    for account in operator, ours:
        assert kubectl.run(f"--as={account}", *create, stdin=json.dumps(candidate)).returncode == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", "registry.example.com*"),
        ("endpoints", "http://vllm.models.svc:8000/v1"),
        ("endpoints", "http://*"),
        ("endpoints", "vllm"),
        ("models", "https://models.example.com*"),
        ("models", "Qwen/*"),
        ("secrets", "*-keys"),
    ],
)
def test_a_policy_with_a_misleading_pattern_is_refused(
    policy_kubectl: Kubectl, field: str, value: str
) -> None:
    result = policy_kubectl.run(
        "create",
        "--dry-run=server",
        "-f",
        "-",
        stdin=json.dumps(resource("MCQPolicy", "x", {field: [value]})),
    )
    assert f"spec.{field}[0]" in result.stderr
    assert "must be" in result.stderr
