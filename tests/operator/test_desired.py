"""Desired state beside golden files: `UPDATE_GOLDEN=1 pytest tests/operator/test_desired.py` rewrites them."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.support import IMAGE, OPERATOR_IMAGE, solver

from mcq_operator import desired
from mcq_operator.models import Manifest
from mcq_operator.models.kinds import SCALED_OBJECT
from mcq_operator.models.names import APPLIED_DIGEST

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "traefik",
            "host": "mcq.example.com",
            "path": "/quiz",
            "tlsSecretName": "mcq-tls",
            "annotations": {"example.com/team": "blue"},
        }
    },
    "named-claim": {"storage": {"cache": {"claimName": "models"}}},
    "emptydir": {"storage": {"cache": {"type": "EmptyDir", "size": "8Gi"}}},
    "bucket": {
        "model": {
            "uri": "s3://models/team/qwen",
            "digest": "sha256:" + "1" * 64,
            "credentialsSecretRef": {"name": "models-reader"},
        },
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"}},
    },
    "volume": {"model": {"uri": "pvc://models/qwen/v1"}},
    "openai": {
        "engine": {
            "type": "OpenAI",
            "openai": {
                "endpoint": "http://vllm.models.svc:8000/v1",
                "model": "qwen",
                "apiKeySecretRef": {"name": "vllm", "key": "token"},
            },
            "maxBatchSize": 64,
        },
    },
    "everything": {
        "model": {
            "uri": "hf://Qwen/Qwen2.5-Coder-0.5B-Instruct",
            "revision": "v1",
            "digest": "sha256:" + "0" * 64,
            "precision": "bfloat16",
        },
        "engine": {"type": "Transformers", "threads": 2},
        "image": "registry.example.com/mcq-service:9",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 5,
        "resources": {"requests": {"cpu": 1}, "limits": {"cpu": "2", "memory": "4Gi"}},
        "scheduling": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpread": [{"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
            "priorityClassName": "high",
            "runtimeClassName": "gvisor",
        },
        "answering": {
            "defaultMode": "reason",
            "maxReasoningTokens": 48,
            "minConfidence": 0.4,
            "debias": "rotations",
        },
        "limits": {"maxQueuedRequests": 8, "maxQueuedTokens": 9000, "deadlineSeconds": 30},
        "auth": {"apiKeysSecretRef": {"name": "clients"}},
        "disruption": {"minAvailable": "50%"},
        "storage": {
            "cache": {"size": "20Gi", "storageClassName": "shared", "accessMode": "ReadWriteMany"},
            "backup": {
                "uri": "s3://backups/mcq",
                "schedule": "30 2 * * *",
                "keep": 30,
                "credentialsSecretRef": {"name": "s3"},
            },
        },
        "tracing": {"enabled": True, "endpoint": "http://jaeger:4318", "samplingRatio": 0.5},
        "monitoring": {
            "serviceMonitor": {"enabled": True, "intervalSeconds": 5, "labels": {"release": "prometheus"}},
            "alerts": {"enabled": True, "labels": {"role": "alerts"}, "answerSeconds": 0.5},
        },
        "gateway": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "https", "port": 443}],
            "hostnames": ["mcq.example.com"],
            "path": "/quiz",
        },
        "networkPolicy": {
            "enabled": True,
            "allowedFrom": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}],
        },
        "autoscaling": {
            "enabled": True,
            "minReplicas": 2,
            "maxReplicas": 8,
            "targetQueueDepth": 6,
            "scaleDownSeconds": 60,
        },
        "rollout": {"autoRollback": True, "startupSeconds": 600},
    },
    "keda": {
        "autoscaling": {
            "enabled": True,
            "provider": "KEDA",
            "prometheusAddress": "http://prometheus-operated.monitoring.svc:9090",
        },
        "networkPolicy": {"enabled": True},
    },
}


def settings(spec: dict[str, Any]) -> dict[str, str]:
    """The environment of the spec's replicas."""
    (container,) = one(spec, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def objects(spec: dict[str, Any]) -> list[Manifest]:
    return desired.objects(solver(spec), service_image=IMAGE, operator_image=OPERATOR_IMAGE)


def one(spec: dict[str, Any], kind: str) -> Manifest:
    return next(manifest for manifest in objects(spec) if manifest["kind"] == kind)


@pytest.mark.parametrize("name", CASES)
def test_a_spec_means_the_objects_of_its_golden_file(name: str) -> None:
    found = yaml.safe_dump_all(objects(CASES[name]), sort_keys=True)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_every_object_is_owned_by_the_solver_and_labelled_for_the_watch() -> None:
    for manifest in objects(CASES["ingress"]):
        (reference,) = manifest["metadata"]["ownerReferences"]
        assert reference["uid"] == solver().metadata.uid
        assert reference["controller"]
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mcq-operator"


def test_what_pods_need_is_made_before_the_deployment() -> None:
    kinds = [manifest["kind"] for manifest in objects(CASES["defaults"])]
    first_pods = kinds.index("Deployment")
    assert {"ServiceAccount", "PersistentVolumeClaim"} < set(kinds[:first_pods])


@pytest.mark.parametrize(
    "spec",
    [
        {"answering": {"maxReasoningTokens": 10}},
        {"tracing": {"enabled": True, "endpoint": "http://jaeger:4318"}},
        {"engine": {"threads": 3}},
    ],
)
def test_a_changed_setting_rolls_the_pods(spec: dict[str, Any]) -> None:
    """And is part of the template: a replica that restarts later has the settings of its own revision."""

    def template(of: dict[str, Any]) -> Any:
        return one(of, "Deployment")["spec"]["template"]

    assert template(spec) != template({})


def test_another_server_as_the_engine_needs_no_model_cache() -> None:
    """Neither a claim, nor settings of a model."""
    kinds = {manifest["kind"] for manifest in objects(CASES["openai"])}
    assert "PersistentVolumeClaim" not in kinds
    assert not [name for name in settings(CASES["openai"]) if name.startswith("MCQ_MODEL")]


def test_another_server_as_the_engine_needs_no_model_source() -> None:
    """Nor is a claim mounted whose model it does not read."""
    spec = {**CASES["openai"], "model": {"uri": "pvc://models/qwen"}}
    pod = one(spec, "Deployment")["spec"]["template"]["spec"]
    assert "model" not in {volume["name"] for volume in pod["volumes"]}


def test_other_credentials_for_the_same_model_need_no_exam() -> None:
    """The gate is for what answers differently."""

    def told(**model: Any) -> str:
        return desired.gate.identity(
            solver({"model": {"uri": "s3://models/qwen", **model}}), service_image=IMAGE
        )

    assert told(credentialsSecretRef={"name": "a"}) == told(credentialsSecretRef={"name": "b"}) == told()
    assert told(digest="sha256:" + "0" * 64) != told()


def test_the_same_path_of_two_claims_is_two_models() -> None:
    """Replicas know the model in their cache by its URI, and would answer with that of the other claim."""
    one_of, other = (settings({"model": {"uri": f"pvc://{claim}/qwen"}}) for claim in ("a", "b"))
    assert one_of["MCQ_MODEL_URI"] != other["MCQ_MODEL_URI"]


def test_no_secret_is_in_the_settings() -> None:
    """Only paths: the values are files that the kubelet mounts."""
    for case in ("openai", "everything"):
        data = settings(CASES[case])
        pod = one(CASES[case], "Deployment")["spec"]["template"]["spec"]
        mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        files = [value for name, value in data.items() if name.endswith("_FILE")]
        assert files
        assert all(any(path.startswith(mount) for mount in mounts) for path in files)


def test_scaling_does_not_roll_the_pods() -> None:
    few, many = (one({"replicas": number}, "Deployment") for number in (1, 9))
    assert few["spec"]["template"] == many["spec"]["template"]


def test_a_field_that_is_wanted_no_more_changes_the_applied_digest() -> None:
    with_selector = one({"scheduling": {"nodeSelector": {"disk": "fast"}}}, "Deployment")
    without = one({}, "Deployment")
    digests = [item["metadata"]["annotations"][APPLIED_DIGEST] for item in (with_selector, without)]
    assert digests[0] != digests[1]


def test_a_user_annotation_cannot_replace_the_applied_digest() -> None:
    plain = CASES["ingress"]["ingress"]
    forged = {**plain, "annotations": {APPLIED_DIGEST: "forged"}}
    assert one({"ingress": forged}, "Ingress")["metadata"]["annotations"][APPLIED_DIGEST] != "forged"


def test_a_stopping_replica_has_time_for_what_it_admitted() -> None:
    spec = {"limits": {"deadlineSeconds": 300}}
    pod = one(spec, "Deployment")["spec"]["template"]["spec"]
    drain = int(settings(spec)["MCQ_DRAIN_SECONDS"])
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert drain >= 300
    assert pod["terminationGracePeriodSeconds"] > drain + pre_stop


def test_three_default_replicas_fit_on_two_cores() -> None:
    container = one({}, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi"},
        "limits": {"memory": "8Gi"},
    }


def test_everything_that_is_ever_made_is_looked_at_in_each_reconcile() -> None:
    looked_at = set(desired.possible(solver()))
    for spec in CASES.values():
        assert {desired.reference(manifest) for manifest in objects(spec)} <= looked_at


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 300 + 1638),
        ({"storage": {"cache": {"size": "100Gi"}}}, 300 + 10240),
        ({"rollout": {"startupSeconds": 77}}, 77),
        ({"engine": {"type": "OpenAI", "openai": {"endpoint": "http://vllm"}}}, 300),
    ],
)
def test_a_large_model_has_more_time_to_start(spec: dict[str, Any], seconds: int) -> None:
    """No slow load is killed by a probe, nor told to have failed by the Deployment."""
    made = one(spec, "Deployment")["spec"]
    probe = made["template"]["spec"]["containers"][0]["startupProbe"]
    assert seconds <= probe["failureThreshold"] * probe["periodSeconds"] < seconds + 5
    assert made["progressDeadlineSeconds"] > seconds


@pytest.mark.parametrize("case", CASES)
def test_the_kubelet_asks_a_port_that_no_client_is_led_to(case: str) -> None:
    """So that no number of clients has a sound replica restarted."""
    [container] = one(CASES[case], "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["MCQ_PROBE_PORT"] == str(ports["probes"])
    for kind in ("startup", "readiness", "liveness"):
        assert container[f"{kind}Probe"]["httpGet"]["port"] == "probes"
    service_ports = {port["name"]: port["port"] for port in one(CASES[case], "Service")["spec"]["ports"]}
    for each in objects(CASES[case]):
        if each["kind"] == "Ingress":
            paths = each["spec"]["rules"][0]["http"]["paths"]
            assert [path["backend"]["service"]["port"] for path in paths] == [{"name": "http"}]
        if each["kind"] == "HTTPRoute":
            backends = each["spec"]["rules"][0]["backendRefs"]
            assert [backend["port"] for backend in backends] == [service_ports["http"]]
        if each["kind"] == "ServiceMonitor":
            assert [endpoint["port"] for endpoint in each["spec"]["endpoints"]] == ["probes"]


def test_a_label_alone_lets_nobody_in() -> None:
    """Anyone can give a Pod the operator's label; the operator's namespace is the operator's."""
    spec = {"networkPolicy": {"enabled": True, "allowedFrom": []}}
    made = desired.objects(
        solver(spec), service_image=IMAGE, operator_image=OPERATOR_IMAGE, operator_namespace="mcq"
    )
    [policy] = [each for each in made if each["kind"] == "NetworkPolicy"]
    [rule] = policy["spec"]["ingress"]
    for peer in rule["from"]:
        # Without a namespaceSelector it is this namespace.
        assert peer.get("namespaceSelector") != {}
    assert {"matchLabels": {"kubernetes.io/metadata.name": "mcq"}} in [
        peer.get("namespaceSelector") for peer in rule["from"]
    ]


def test_the_autoscaler_alone_says_how_many_replicas_there_are() -> None:
    """The operator does not fight it."""
    for case in ("everything", "keda"):
        assert "replicas" not in one(CASES[case], "Deployment")["spec"]
    assert {"HorizontalPodAutoscaler", "ScaledObject"}.isdisjoint(item["kind"] for item in objects({}))


def test_without_keda_the_spec_says_how_many_replicas_there_are() -> None:
    made = desired.objects(
        solver({**CASES["keda"], "replicas": 4}),
        service_image=IMAGE,
        operator_image=OPERATOR_IMAGE,
        absent=[SCALED_OBJECT],
    )
    assert next(item for item in made if item["kind"] == "Deployment")["spec"]["replicas"] == 4


def test_the_operators_labels_win_over_a_users() -> None:
    """Or its own watch would lose the object."""
    labels = {"app.kubernetes.io/managed-by": "me", "release": "x"}
    spec = {"monitoring": {"serviceMonitor": {"enabled": True, "labels": labels}}}
    found = one(spec, "ServiceMonitor")["metadata"]["labels"]
    assert found["app.kubernetes.io/managed-by"] == "mcq-operator"
    assert found["release"] == "x"


def test_other_replicas_than_the_specs_can_be_wanted() -> None:
    """As after a roll-out that was undone; everything else is as the spec says."""
    other = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    made = desired.objects(
        solver({"replicas": 7}), service_image=IMAGE, operator_image=OPERATOR_IMAGE, pods=other
    )
    spec = next(item for item in made if item["kind"] == "Deployment")["spec"]
    assert (spec["template"], spec["replicas"]) == (other, 7)
