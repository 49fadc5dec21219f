"""What an MCQPolicy refuses a tenant: the same by the real API server's CEL and by `mcq_operator check --policy`."""

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
    """A spec, and which value which field of the policy refuses; none where it is allowed."""

    spec: dict[str, Any]
    bad: str = ""
    field: str = ""
    kind: str = "MCQSolver"


def exam(spec: dict[str, Any], bad: str = "", field: str = "") -> Case:
    asked = {"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "q"}}}
    return Case({**asked, **spec}, bad, field, "MCQExam")


def engine(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"engine": {"type": "OpenAI", "openai": {"endpoint": endpoint, **more}}}


def way_in(host: str = "mcq.example.com", **more: Any) -> dict[str, Any]:
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
    # Of another server's model the default address is not used.
    Case({**engine(VLLM), **uri("hf://other/x")}),
    Case({"auth": {"apiKeysSecretRef": ref("clients")}}),
    Case({"auth": {"apiKeysSecretRef": ref("mcq-keys")}}),
    Case({"auth": {"apiKeysSecretRef": ref("clients2")}}, "clients2", "secrets"),
    Case(engine(VLLM, apiKeySecretRef=ref("db", key="password")), "db", "secrets"),
    Case({"model": {"uri": "hf://Qwen/a", "credentialsSecretRef": ref("db")}}, "db", "secrets"),
    Case({"imagePullSecrets": [ref("mcq-a"), ref("db"), ref("web")]}, "db, web", "secrets"),
    Case({"storage": {"backup": {"uri": S3, "credentialsSecretRef": ref("db")}}}, "db", "secrets"),
    Case(way_in(tlsSecretName="web-tls"), "web-tls", "secrets"),
    Case(way_in()),
    Case(way_in("a.team.example.com")),
    Case(way_in("team.example.com"), "team.example.com", "hosts"),
    Case(way_in("xteam.example.com"), "xteam.example.com", "hosts"),
    Case(way_in("other.example.com"), "other.example.com", "hosts"),
    Case({"ingress": {"host": "other.example.com"}}, "other.example.com", "hosts"),
    Case(gateway("mcq.example.com")),
    Case(gateway("mcq.example.com", "web.example.com"), "web.example.com", "hosts"),
    Case(gateway(), "*", "hosts"),
    Case({"gateway": {"parentRefs": [{"name": "public"}]}}),
    Case(way_in(annotations={"cert-manager.io/issuer": "a", "example.com/team": "b"})),
    Case(
        way_in(annotations={"nginx.ingress.kubernetes.io/server-snippet": "x"}),
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
def everywhere(cluster_kubectl: Kubectl) -> Kubectl:
    """The admission policy, which is in force where there is an MCQPolicy; it stays, for other workers' sake."""
    cluster_kubectl("apply", "--server-side", "-f", str(ROOT / "config/policies/tenants.yaml"))
    return cluster_kubectl


async def in_force(kubectl: Kubectl, name: str) -> None:
    """Wait until the API server knows the policy: no policy of these tests allows this image."""
    probe = json.dumps(resource("MCQSolver", "probe", {"image": "nobody/allows/this"}))
    words = f"MCQPolicy {name}"
    await until(lambda: words in kubectl.run("create", "--dry-run=server", "-f", "-", stdin=probe).stderr, 60)


@pytest.fixture
def policies(everywhere: Kubectl, kubectl: Kubectl) -> Iterator[list[Manifest]]:
    """Those that a test makes; they go with it."""
    created: list[Manifest] = []
    yield created
    for each in created:
        everywhere("delete", "mcqpolicy", each["metadata"]["name"], "--ignore-not-found")


async def make(
    kubectl: Kubectl, policies: list[Manifest], spec: dict[str, Any], suffix: str = "a"
) -> Manifest:
    created = policy(f"{kubectl.namespace}-{suffix}", kubectl.namespace, spec)
    policies.append(created)
    replace(kubectl, namespace="")("create", "-f", "-", stdin=json.dumps(created))
    await in_force(kubectl, created["metadata"]["name"])
    return created


async def test_a_solver_or_exam_refers_to_what_the_policy_does_not_have(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest], tmp_path: Path
) -> None:
    """Each case is decided alike by the API server and by the command, in the same words."""
    created = await make(kubectl, policies, TEAM)
    documents = [resource(case.kind, name, case.spec) for name, case in zip(NAMES, CASES, strict=True)]
    done = tenant.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(as_list(documents)))
    file, policy_file = tmp_path / "all.yaml", tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    policy_file.write_text(yaml.safe_dump(created))
    lines = policy_refusals(str(file), [str(policy_file)], namespace=kubectl.namespace)
    by_server = dict(
        re.findall(r'"(case-\d+)" is forbidden: .* denied request: (.*)$', done.stderr, re.MULTILINE)
    )
    by_command = {f"case-{int(line.split()[2][:-1]) - 1}": line.partition(": ")[2] for line in lines}
    expected = {
        name: f"{case.bad}: not allowed in {about(by_command.get(name, ''))} by spec.{case.field} of MCQPolicy"
        f" {created['metadata']['name']}"
        for name, case in zip(NAMES, CASES, strict=True)
        if case.field
    }
    assert by_command == expected
    assert by_server == expected
    assert len(done.stdout.splitlines()) == len(CASES) - len(expected), done.stderr


def about(line: str) -> str:
    """Which field a refusal is about: its words are the rule's own."""
    return line.partition(" in ")[2].partition(" by spec.")[0]


def as_list(documents: list[Manifest]) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": documents}


async def test_an_empty_policy_refuses_every_restricted_value(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """A default solver is allowed: it refers to a public model, and to Secrets by our prefix alone."""
    await make(kubectl, policies, {})
    allowed: list[dict[str, Any]] = [
        {},
        {"model": {"uri": "hf://any/model"}},
        {"auth": {"apiKeysSecretRef": {"name": "mcq-keys"}}},
    ]
    bad: list[dict[str, Any]] = [
        {"image": "nginx"},
        engine("http://vllm"),
        {"auth": {"apiKeysSecretRef": {"name": "keys"}}},
        way_in(),
        {"storage": {"backup": {"uri": "s3://a1"}}},
        {"scheduling": {"tolerations": [{"key": "a"}]}},
    ]
    documents = [resource("MCQSolver", f"s-{n}", spec) for n, spec in enumerate([*allowed, *bad])]
    done = tenant.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(as_list(documents)))
    assert len(done.stdout.splitlines()) == len(allowed), done.stderr
    assert done.stderr.count("denied request") == len(bad)


async def test_of_two_policies_one_is_enough(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """Each has to allow."""
    await make(kubectl, policies, {"images": ["a/*"], "secrets": ["*"]}, "a")
    await make(kubectl, policies, {"images": ["a/b"]}, "b")
    tried = json.dumps(resource("MCQSolver", "demo", {"image": "a/c"}))
    assert f"{kubectl.namespace}-b" in tenant.run("create", "-f", "-", stdin=tried).stderr
    tried = json.dumps(resource("MCQSolver", "demo", {"image": "a/b"}))
    assert tenant.run("create", "-f", "-", stdin=tried).returncode == 0


async def test_what_was_there_before_the_policy_is_changed(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """Its labels can be, and it can be deleted; its spec only into one that is allowed."""
    tenant.solver({"image": "old/image"})
    await make(kubectl, policies, {})
    assert tenant.run("label", "mcq", "demo", "team=one").returncode == 0
    policy_refusals = tenant.run("patch", "mcq", "demo", "--type=merge", "--patch", '{"spec":{"replicas":1}}')
    assert "old/image: not allowed in image by spec.images" in policy_refusals.stderr
    corrected = '{"spec":{"replicas":1,"image":null}}'
    assert tenant.run("patch", "mcq", "demo", "--type=merge", "--patch", corrected).returncode == 0
    assert tenant.run("delete", "mcq", "demo").returncode == 0


async def test_a_gate_makes_its_candidate_as_the_operator_alone_may(
    kubectl: Kubectl, tenant: Tenant, policies: list[Manifest]
) -> None:
    """It shares its solver's cache, by the claim's name."""
    operator = f"operator-of-{kubectl.namespace}"
    await make(kubectl, policies, {"operators": [operator]})
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
def test_a_policy_with_a_pattern_that_allows_more_than_it_says_is_refused(
    everywhere: Kubectl, field: str, value: str
) -> None:
    tried = everywhere.run(
        "create",
        "--dry-run=server",
        "-f",
        "-",
        stdin=json.dumps(resource("MCQPolicy", "x", {field: [value]})),
    )
    assert f"spec.{field}[0]" in tried.stderr
    assert "must be" in tried.stderr
