"""The desired objects and their golden files.

`UPDATE_GOLDEN=1 pytest tests/operator/desired/test_desired.py` rewrites the files.
"""

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.support import IMAGES, INSTALLATION, solver

from mcq_operator import desired
from mcq_operator.api import Manifest, names
from mcq_operator.api.kinds import CLAIM, PROMETHEUS_RULE, SCALED_OBJECT, SERVICE_MONITOR, Kind, ref_of
from mcq_operator.api.names import APPLIED_DIGEST, CLAIM_LABEL
from mcq_operator.api.pod_template import OWNED_ENV, OWNED_VOLUMES
from mcq_operator.desired.security import USER_FIELDS

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
    "claim": {"storage": {"cache": {"type": "PVC", "size": "8Gi"}}},
    "named-claim": {"storage": {"cache": {"type": "PVC", "claimName": "models"}}},
    "pod-template": {
        "model": {"uri": "oci://registry.example.com:5000/models/qwen:v1"},
        "resources": {"requests": {"cpu": 2}},
        "scheduling": {
            "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        },
        "podTemplate": {
            "metadata": {
                "labels": {"sidecar.istio.io/inject": "false"},
                "annotations": {"example.com/team": "blue"},
            },
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
            "envFrom": [{"configMapRef": {"name": "proxy"}}],
            "volumes": [{"name": "ca", "configMap": {"name": "company-ca"}}],
            "volumeMounts": [{"name": "ca", "mountPath": "/etc/company-ca", "readOnly": True}],
            "securityContext": {},
            "initContainers": [{"name": "wait", "image": "registry.example.com/wait:1"}],
            "sidecars": [{"name": "proxy", "image": "registry.example.com/proxy:1"}],
        },
        "storage": {
            "cache": {"type": "PVC"},
            "backup": {
                "uri": "s3://backups",
                "resources": {"limits": {"cpu": 1}},
                "scheduling": {"nodeSelector": {"disk": "fast"}},
                "podTemplate": {"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}},
            },
        },
    },
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
            "escalateTo": {
                "solverRef": {"name": "large"},
                "apiKeySecretRef": {"name": "large", "key": "token"},
            },
            "minConfidence": 0.4,
            "debias": "rotations",
        },
        "limits": {"maxQueuedRequests": 8, "maxQueuedTokens": 9000, "deadlineSeconds": 30},
        "auth": {"apiKeysSecretRef": {"name": "clients"}},
        "disruption": {"minAvailable": "50%"},
        "storage": {
            "cache": {
                "type": "PVC",
                "size": "20Gi",
                "storageClassName": "shared",
                "accessMode": "ReadWriteMany",
            },
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


NO_MONITORING = {name: {"enabled": False} for name in ("serviceMonitor", "alerts", "dashboards")}
"""Two cases show monitoring; the others stay short without it."""
for _name, _spec in CASES.items():
    if _name not in {"defaults", "everything"}:
        _spec["monitoring"] = NO_MONITORING


def settings(spec: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables of the spec's replicas."""
    (container,) = one(spec, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


def objects(spec: dict[str, Any]) -> list[Manifest]:
    return desired.objects(solver(spec), INSTALLATION)


def one(spec: dict[str, Any], kind: str) -> Manifest:
    return next(manifest for manifest in objects(spec) if manifest["kind"] == kind)


@pytest.mark.parametrize("name", CASES)
def test_a_spec_gives_the_objects_of_its_golden_file(name: str) -> None:
    actual = yaml.safe_dump_all(objects(CASES[name]), sort_keys=True)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(actual, encoding="utf-8")
    assert actual == path.read_text(encoding="utf-8")


def test_every_object_is_owned_by_the_solver_and_labelled_for_the_watch() -> None:
    for manifest in objects(CASES["ingress"]):
        (reference,) = manifest["metadata"]["ownerReferences"]
        assert reference["uid"] == solver().metadata.uid
        assert reference["controller"]
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mcq-operator"


def test_objects_that_pods_need_precede_the_deployment() -> None:
    kinds = [manifest["kind"] for manifest in objects(CASES["claim"])]
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
    """The settings are part of the template, so a replica that restarts later keeps the settings of its revision."""

    def template(of: dict[str, Any]) -> Any:
        return one(of, "Deployment")["spec"]["template"]

    assert template(spec) != template({})


def test_another_server_as_the_engine_needs_no_model_cache() -> None:
    """The solver has no claim and no settings of a model."""
    kinds = {manifest["kind"] for manifest in objects(CASES["openai"])}
    assert "PersistentVolumeClaim" not in kinds
    assert not [name for name in settings(CASES["openai"]) if name.startswith("MCQ_MODEL")]


def test_another_server_as_the_engine_needs_no_model_source() -> None:
    """The solver mounts no claim that it does not read a model from."""
    spec = {**CASES["openai"], "model": {"uri": "pvc://models/qwen"}}
    pod = one(spec, "Deployment")["spec"]["template"]["spec"]
    assert "model" not in {volume["name"] for volume in pod["volumes"]}


def test_other_credentials_need_an_exam_unless_the_models_digest_is_given() -> None:
    """The Secret may name another server, with other files under the same path."""

    def identity(**model: Any) -> str:
        return desired.gate.identity(solver({"model": {"uri": "s3://models/qwen", **model}}), images=IMAGES)

    one, other = ({"credentialsSecretRef": {"name": name}} for name in "ab")
    pinned = {"digest": f"sha256:{'0' * 64}"}
    assert identity(**one) != identity(**other)
    assert identity(**one, **pinned) == identity(**other, **pinned) == identity(**pinned)
    assert identity(digest="sha256:" + "0" * 64) != identity()


def test_the_same_path_in_two_claims_is_two_models() -> None:
    """Replicas find the model in their cache by its URI, and would answer with the other claim's model."""
    first, second = (settings({"model": {"uri": f"pvc://{claim}/qwen"}}) for claim in ("a", "b"))
    assert first["MCQ_MODEL_URI"] != second["MCQ_MODEL_URI"]


def test_a_solver_that_names_itself_asks_no_other_one() -> None:
    """A condition says so. The settings would make each of its replicas ask a second one."""
    itself = solver({"answering": {"escalateTo": {"solverRef": {"name": "demo"}}}})
    assert itself.name == "demo"
    assert not [name for name in desired.config.environment(itself) if "ESCALATION" in name]


def test_no_secret_is_in_the_settings() -> None:
    """The settings have only paths of files that the kubelet mounts."""
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


def test_a_field_that_is_no_longer_desired_changes_the_applied_digest() -> None:
    with_selector = one({"scheduling": {"nodeSelector": {"disk": "fast"}}}, "Deployment")
    without = one({}, "Deployment")
    digests = [item["metadata"]["annotations"][APPLIED_DIGEST] for item in (with_selector, without)]
    assert digests[0] != digests[1]


def test_a_user_annotation_cannot_replace_the_applied_digest() -> None:
    plain = CASES["ingress"]["ingress"]
    forged = {**plain, "annotations": {APPLIED_DIGEST: "forged"}}
    assert one({"ingress": forged}, "Ingress")["metadata"]["annotations"][APPLIED_DIGEST] != "forged"


def test_a_stopping_replica_has_time_for_its_admitted_requests() -> None:
    spec = {"limits": {"deadlineSeconds": 300}}
    pod = one(spec, "Deployment")["spec"]["template"]["spec"]
    drain = int(settings(spec)["MCQ_DRAIN_SECONDS"])
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert drain >= 300
    assert pod["terminationGracePeriodSeconds"] > drain + pre_stop


@pytest.mark.parametrize(
    ("given", "requests", "limits", "threads"),
    [
        ({}, {"cpu": "250m", "memory": "2Gi"}, {"memory": "8Gi"}, "1"),
        ({"requests": {"cpu": 2}}, {"cpu": 2, "memory": "2Gi"}, {"memory": "8Gi"}, "2"),
        ({"requests": {"cpu": "2500m"}}, {"cpu": "2500m", "memory": "2Gi"}, {"memory": "8Gi"}, "3"),
        ({"requests": {"memory": "12Gi"}}, {"cpu": "250m", "memory": "12Gi"}, {"memory": "12Gi"}, "1"),
        ({"limits": {"memory": "1Gi"}}, {"cpu": "250m", "memory": "1Gi"}, {"memory": "1Gi"}, "1"),
        (
            {"limits": {"cpu": "100m"}},
            {"cpu": "100m", "memory": "2Gi"},
            {"cpu": "100m", "memory": "8Gi"},
            "0",
        ),
        (
            {"limits": {"cpu": 4, "nvidia.com/gpu": 1}},
            {"cpu": "250m", "memory": "2Gi"},
            {"cpu": 4, "memory": "8Gi", "nvidia.com/gpu": 1},
            "0",
        ),
    ],
)
def test_resources_that_are_left_out_keep_their_defaults(
    given: dict[str, Any], requests: dict[str, Any], limits: dict[str, Any], threads: str
) -> None:
    """Each by itself. The threads come from the limit, which the service reads (0), or from the request."""
    spec = {"resources": given}
    container = one(spec, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {"requests": requests, "limits": limits}
    assert settings(spec)["MCQ_THREADS"] == threads


def test_the_podtemplate_refuses_each_variable_that_the_operator_sets() -> None:
    """Otherwise a user's value would be lost silently."""
    assert {name for spec in CASES.values() for name in settings(spec)} - {"HTTPS_PROXY"} <= set(OWNED_ENV)


def test_the_podtemplate_refuses_each_volume_that_the_operator_mounts() -> None:
    for spec in CASES.values():
        pod = one(spec, "Deployment")["spec"]["template"]["spec"]
        assert {volume["name"] for volume in pod["volumes"]} - {"ca"} <= set(OWNED_VOLUMES)


@pytest.mark.parametrize(
    ("given", "user"),
    [
        (None, {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}),
        ({}, {}),
        ({"runAsUser": 5}, {"runAsUser": 5}),
    ],
)
def test_a_security_context_sets_the_user_or_leaves_it_to_the_cluster(
    given: dict[str, Any] | None, user: dict[str, int]
) -> None:
    """OpenShift chooses user and group for each namespace, and refuses Pods that name others."""
    spec = {"podTemplate": {"securityContext": given}}
    actual = one(spec, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert {name: value for name, value in actual.items() if name in USER_FIELDS} == user
    assert (actual["runAsNonRoot"], actual["seccompProfile"]) == (True, {"type": "RuntimeDefault"})


def test_replicas_with_a_volume_of_one_node_run_on_one_node_and_are_drained_at_once() -> None:
    """So do the candidate's replicas, which share the volume. Other replicas are spread and drained one by one."""

    def placement(spec: dict[str, Any]) -> tuple[Any, Any, Any]:
        template = one(spec, "Deployment")["spec"]["template"]
        affinity = template["spec"].get("affinity", {}).get("podAffinity", {})
        [term] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [None])
        budget = one(spec, "PodDisruptionBudget")["spec"].get("maxUnavailable")
        return (
            term and term["labelSelector"]["matchLabels"],
            template["metadata"]["labels"].get(CLAIM_LABEL),
            budget,
        )

    def cache(**fields: str) -> dict[str, Any]:
        return {"storage": {"cache": {"type": "PVC", **fields}}}

    own, named = {CLAIM_LABEL: "demo-model-cache"}, {CLAIM_LABEL: "models"}
    assert placement(cache()) == (own, "demo-model-cache", "100%")
    assert placement(cache(claimName="models")) == (named, "models", "100%")
    for spec in ({}, cache(accessMode="ReadWriteMany"), {**cache(), **CASES["openai"]}):
        assert placement(spec) == (None, None, 1)
    candidate = desired.gate.candidate(solver(cache()))["spec"]
    assert placement(candidate)[:2] == (own, "demo-model-cache")


def test_a_gateway_strips_its_path_and_the_service_knows_an_ingress_path() -> None:
    """An Ingress can't strip a path, and the page needs a slash at the end of its address."""
    rules = one({"gateway": {"enabled": True, "path": "/quiz/"}}, "HTTPRoute")["spec"]["rules"]
    slash, stripped = rules
    assert slash["matches"] == [{"path": {"type": "Exact", "value": "/quiz"}}]
    assert slash["filters"][0]["requestRedirect"]["path"]["replaceFullPath"] == "/quiz/"
    assert stripped["filters"][0]["urlRewrite"]["path"] == {
        "type": "ReplacePrefixMatch",
        "replacePrefixMatch": "/",
    }
    assert "MCQ_ROOT_PATH" not in settings({"gateway": {"enabled": True, "path": "/quiz"}})
    assert settings({"ingress": {"host": "mcq.example.com", "path": "/quiz/"}})["MCQ_ROOT_PATH"] == "/quiz"
    assert "MCQ_ROOT_PATH" not in settings({"ingress": {"host": "mcq.example.com"}})


@pytest.mark.parametrize(
    ("ingress", "has_ingress"),
    [
        ({}, False),
        ({"host": "mcq.example.com"}, True),
        ({"host": "mcq.example.com", "enabled": True}, True),
        ({"host": "mcq.example.com", "enabled": False}, False),
    ],
)
def test_a_host_alone_creates_an_ingress(ingress: dict[str, Any], *, has_ingress: bool) -> None:
    assert any(item["kind"] == "Ingress" for item in objects({"ingress": ingress})) == has_ingress


MONITORED = {"ServiceMonitor", "PrometheusRule", "ConfigMap"}


@pytest.mark.parametrize(
    ("enabled", "absent", "expected"),
    [
        ("Auto", (), MONITORED),
        ("Auto", (SERVICE_MONITOR, PROMETHEUS_RULE), {"ConfigMap"}),
        ("Auto", (PROMETHEUS_RULE,), {"ServiceMonitor", "ConfigMap"}),
        (True, (SERVICE_MONITOR, PROMETHEUS_RULE), MONITORED),
        (False, (), set()),
    ],
)
def test_monitoring_is_on_where_the_cluster_has_its_kinds(
    enabled: bool | str, absent: Collection[Kind], expected: set[str]
) -> None:
    """The spec can override it. Dashboards need no optional kind."""
    spec = {"monitoring": {name: {"enabled": enabled} for name in NO_MONITORING}}
    manifests = desired.objects(solver(spec), INSTALLATION, absent=absent)
    assert {item["kind"] for item in manifests} & MONITORED == expected
    defaults = desired.objects(solver({}), INSTALLATION, absent=absent)
    if enabled == "Auto":
        assert {item["kind"] for item in defaults} & MONITORED == expected


def test_each_reconcile_reads_everything_that_the_operator_may_create() -> None:
    possible = set(desired.possible(solver()))
    for spec in CASES.values():
        assert {ref_of(manifest) for manifest in objects(spec)} <= possible


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
    """No probe kills a slow load, and the Deployment does not report it as failed."""
    deployment = one(spec, "Deployment")["spec"]
    probe = deployment["template"]["spec"]["containers"][0]["startupProbe"]
    assert seconds <= probe["failureThreshold"] * probe["periodSeconds"] < seconds + 5
    assert deployment["progressDeadlineSeconds"] > seconds


@pytest.mark.parametrize("case", CASES)
def test_the_kubelet_probes_a_port_without_client_traffic(case: str) -> None:
    """The kubelet must not restart a healthy replica because of many clients."""
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
            backends = each["spec"]["rules"][-1]["backendRefs"]
            assert [backend["port"] for backend in backends] == [service_ports["http"]]
        if each["kind"] == "ServiceMonitor":
            assert [endpoint["port"] for endpoint in each["spec"]["endpoints"]] == ["probes"]


def test_a_label_alone_admits_no_peer() -> None:
    """Anyone can give a Pod the operator's label, but only the operator's Pods are in its namespace."""
    spec = {"networkPolicy": {"enabled": True, "allowedFrom": []}}
    manifests = desired.objects(solver(spec), replace(INSTALLATION, namespace="mcq"))
    [policy] = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    [rule] = policy["spec"]["ingress"]
    for peer in rule["from"]:
        # A peer without a namespaceSelector is in this namespace.
        assert peer.get("namespaceSelector") != {}
    assert {"matchLabels": {"kubernetes.io/metadata.name": "mcq"}} in [
        peer.get("namespaceSelector") for peer in rule["from"]
    ]


def test_only_the_autoscaler_sets_the_number_of_replicas() -> None:
    """The operator leaves the field out."""
    for case in ("everything", "keda"):
        assert "replicas" not in one(CASES[case], "Deployment")["spec"]
    assert {"HorizontalPodAutoscaler", "ScaledObject"}.isdisjoint(item["kind"] for item in objects({}))


@pytest.mark.parametrize(
    ("spec", "image"),
    [
        ({}, IMAGES.cpu),
        ({"model": {"precision": "int8"}}, IMAGES.cpu),
        ({"model": {"precision": "bfloat16"}}, IMAGES.torch),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, IMAGES.torch),
        ({"engine": {"type": "OpenAI", "openai": {"endpoint": "http://vllm:8000"}}}, IMAGES.cpu),
        ({"model": {"precision": "float32"}, "image": "our/own:1"}, "our/own:1"),
    ],
)
def test_only_solvers_that_need_torch_get_its_image(spec: dict[str, Any], image: str) -> None:
    [container] = one(spec, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image


def test_without_keda_the_spec_sets_the_number_of_replicas() -> None:
    manifests = desired.objects(
        solver({**CASES["keda"], "replicas": 4}),
        INSTALLATION,
        absent=[SCALED_OBJECT],
    )
    assert next(item for item in manifests if item["kind"] == "Deployment")["spec"]["replicas"] == 4


def test_the_operators_labels_win_over_a_users() -> None:
    """Otherwise the operator's watch would lose the object."""
    labels = {"app.kubernetes.io/managed-by": "me", "release": "x"}
    spec = {"monitoring": {"serviceMonitor": {"enabled": True, "labels": labels}}}
    actual = one(spec, "ServiceMonitor")["metadata"]["labels"]
    assert actual["app.kubernetes.io/managed-by"] == "mcq-operator"
    assert actual["release"] == "x"


def test_the_desired_replicas_can_differ_from_the_spec() -> None:
    """They do so after a rollback; everything else follows the spec."""
    other = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    manifests = desired.objects(solver({"replicas": 7}), INSTALLATION, pods=other)
    spec = next(item for item in manifests if item["kind"] == "Deployment")["spec"]
    assert (spec["template"], spec["replicas"]) == (other, 7)


def test_a_claim_is_kept_while_the_deployment_or_a_running_replica_mounts_it() -> None:
    """The spec may not ask for it any more: a gate, a rollback or a roll-out keeps earlier replicas."""
    cached = one({"storage": {"cache": {"type": "PVC"}}}, "Deployment")
    uncached = one({"storage": {"cache": {"type": "EmptyDir"}}}, "Deployment")
    cache = {CLAIM.named("demo-model-cache")}
    running, ended, terminating = (
        {"metadata": metadata, "spec": cached["spec"]["template"]["spec"], "status": {"phase": phase}}
        for metadata, phase in (({}, "Running"), ({}, "Failed"), ({"deletionTimestamp": "x"}, "Running"))
    )
    assert desired.mounted_claims(cached, []) == cache
    assert desired.mounted_claims(uncached, [running]) == cache
    assert desired.mounted_claims(uncached, [terminating]) == cache
    assert desired.mounted_claims(None, [running]) == cache
    assert desired.mounted_claims(uncached, [ended]) == set()


def ingress_options(path: str) -> dict[str, Any]:
    return {"ingress": {"host": "mcq.example.com", "path": path}}


@pytest.mark.parametrize(
    ("held", "spec", "served"),
    [
        ("/old", "/new", "/old"),
        ("/old", "/", "/old"),
        ("/", "/new", "/"),
        ("/same", "/same/", "/same/"),
    ],
)
def test_the_ingress_has_the_path_that_the_replicas_in_force_know(held: str, spec: str, served: str) -> None:
    """A gate, a rollback or an upgrade keeps replicas of an earlier spec."""
    template = one(ingress_options(held), "Deployment")["spec"]["template"]
    inventory = [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "demo"}]
    known = solver(ingress_options(spec), status={"inventory": inventory})
    seen = desired.with_served_path(known, template)
    manifests = desired.objects(seen, INSTALLATION, pods=template)
    [rule] = next(each for each in manifests if each["kind"] == "Ingress")["spec"]["rules"]
    assert rule["http"]["paths"][0]["path"] == served
    assert names.url(seen) == f"http://mcq.example.com{served.rstrip('/')}"


def test_a_first_ingress_takes_no_more_than_the_specs_path() -> None:
    template = one({}, "Deployment")["spec"]["template"]
    known = solver(ingress_options("/new"))
    assert desired.with_served_path(known, template) == known
