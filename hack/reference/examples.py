"""Examples for each leaf of MCQSolver's spec: values other than the default, and the other fields that they need.

The reference page is generated from them, and the tests set each leaf of a running solver to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """Valid values of a leaf, in a spec that also has the fields of `base`."""

    values: tuple[Any, ...]
    base: dict[str, Any] = field(default_factory=dict)


def example(*values: Any, **base: Any) -> Example:
    """Return an example; `base` has fields of the spec by name."""
    return Example(values, base)


ENDPOINT = {"endpoint": "http://vllm.models.svc:8000/v1"}
OPENAI = {"type": "OpenAI", "openai": ENDPOINT}
KEY = {"type": "OpenAI", "openai": {**ENDPOINT, "apiKeySecretRef": {"name": "vllm", "key": "token"}}}
ESCALATION = {
    "escalateTo": {"solverRef": {"name": "large"}, "apiKeySecretRef": {"name": "large", "key": "token"}}
}
INGRESS = {"enabled": True, "host": "mcq.example.com"}
GATEWAY = {"enabled": True, "parentRefs": [{"name": "public"}]}
HPA = {"enabled": True}
KEDA = {"enabled": True, "provider": "KEDA", "prometheusAddress": "http://prometheus.monitoring.svc:9090"}
BACKUP = {"backup": {"uri": "s3://backups"}}
TRACING = {"enabled": True, "endpoint": "http://jaeger.monitoring.svc:4318"}
CLAIM = {"cache": {"type": "PVC"}}
GATE = {"gate": {"examRef": {"name": "aqua"}}}
WATCHED = {"gate": {"examRef": {"name": "aqua"}, "watch": {}}}
MONITOR = {"serviceMonitor": {"enabled": True}}
DASHBOARDS = {"dashboards": {"enabled": True}}
ALERTS = {"alerts": {"enabled": True}}
TOLERATION = {"tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}]}
SPREAD = {"topologySpread": [{"topologyKey": "topology.kubernetes.io/zone"}]}
ZONES = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}
]}}  # fmt: skip


def _scheduling(path: str, backup: dict[str, Any] | None = None) -> dict[str, Example]:
    """Return the leaves of a Scheduling: the replicas' or, with `backup`, the one of the Pods that make backups."""

    def example(*values: Any, scheduling: dict[str, Any] | None = None) -> Example:
        if backup is None:
            return Example(values, {"scheduling": scheduling} if scheduling else {})
        return Example(values, {"storage": {"backup": {**backup["backup"], "scheduling": scheduling or {}}}})

    return {
        f"{path}.{leaf}": each
        for leaf, each in {
            "nodeSelector": example({"disk": "fast"}, {"a.example.com/b": ""}),
            "tolerations[].key": example("other", scheduling=TOLERATION),
            "tolerations[].operator": example("Exists", scheduling={"tolerations": [{"key": "gpu"}]}),
            "tolerations[].value": example("no", "", scheduling=TOLERATION),
            "tolerations[].effect": example("NoSchedule", "PreferNoSchedule", scheduling=TOLERATION),
            "tolerations[].tolerationSeconds": example(0, 300, scheduling=TOLERATION),
            "affinity": example(ZONES),
            "topologySpread[].topologyKey": example("rack", scheduling=SPREAD),
            "topologySpread[].maxSkew": example(2, 100, scheduling=SPREAD),
            "topologySpread[].whenUnsatisfiable": example("DoNotSchedule", scheduling=SPREAD),
            "priorityClassName": example("system-cluster-critical", "high"),
            "runtimeClassName": example("gvisor"),
        }.items()
    }


def _pod_template(path: str, **base: Any) -> dict[str, Example]:
    """Return the leaves of a PodTemplate."""
    container = {"name": "proxy", "image": "registry.example.com/proxy:1"}
    return {
        f"{path}.{leaf}": Example(values, base)
        for leaf, values in {
            "metadata.labels": ({"sidecar.istio.io/inject": "false"}, {"team": ""}),
            "metadata.annotations": ({"linkerd.io/inject": "disabled"}, {"a.example.com/b": "ü 模"}),
            "env": (
                [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
                [{"name": "MCQ_LOG_LEVEL", "value": "DEBUG"}],
                [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}],
            ),
            "envFrom": ([{"configMapRef": {"name": "proxy"}}],),
            "volumes": ([{"name": "ca", "configMap": {"name": "company-ca"}}],),
            "volumeMounts": ([{"name": "tmp", "mountPath": "/scratch"}],),
            "securityContext": ({}, {"runAsUser": 1000}, {"supplementalGroups": [5]}),
            "initContainers": ([container], [{**container, "restartPolicy": "Always"}]),
            "sidecars": ([{**container, "name": "mesh"}],),
        }.items()
    }


EXAMPLES: dict[str, Example] = {
    "model.uri": example(
        "hf://Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "hf://a/b",
        "s3://models/team/qwen",
        "s3://models",
        "https://models.example.com:8443/~team/qwen/",
        "http://a",
        "pvc://models/qwen/v1",
        "pvc://models",
        "https://[fd00::1]:8443/qwen",
        "oci://registry.example.com:5000/models/qwen:v1",
        "oci://registry.example.com/qwen@sha256:" + "0" * 64,
    ),
    "model.revision": example("main", "refs/pr/1", "v1.0_x"),
    "model.digest": example("sha256:" + "0" * 64, "sha256:" + "f" * 64),
    "model.credentialsSecretRef.name": example("models-reader", "a", model={"uri": "s3://models/qwen"}),
    "model.precision": example("float32", "bfloat16", "int8"),
    "engine.type": example("OpenAI"),
    "engine.openai.endpoint": example(
        "https://other.example.com", "http://10.0.0.1:1", "http://[fd00::1]:8000/v1", engine=OPENAI
    ),
    "engine.openai.model": example("qwen", "größer/模型", engine=OPENAI),
    "engine.openai.apiKeySecretRef.name": example("other", engine=KEY),
    "engine.openai.apiKeySecretRef.key": example("other", ".x_-", engine=KEY),
    "engine.threads": example(2, 256),
    "engine.maxBatchSize": example(1, 256),
    "engine.contextLength": example(512, 131_072),
    "image": example("registry.example.com/mcq-service:9", "a"),
    "imagePullPolicy": example("Always", "Never"),
    "imagePullSecrets[].name": example("registry", "a" * 253),
    "replicas": example(1, 5),
    "resources.requests": example({"cpu": 1, "memory": "3Gi"}, {"cpu": "100m"}),
    "resources.limits": example({"memory": "2Gi", "nvidia.com/gpu": 1}, {"memory": "1e9"}),
    **_pod_template("podTemplate"),
    **_scheduling("scheduling"),
    "answering.defaultMode": example("answer", "reason"),
    "answering.maxReasoningTokens": example(1, 512),
    "answering.minConfidence": example(0.5, 1),
    "answering.targetAccuracy": example(0.9),  # without an exam, all values give the same replicas
    "answering.escalateTo.solverRef.name": example(
        "large", answering={"escalateTo": {"solverRef": {"name": "other"}}}
    ),
    "answering.escalateTo.apiKeySecretRef.name": example("other", answering=ESCALATION),
    "answering.escalateTo.apiKeySecretRef.key": example("other", ".x_-", answering=ESCALATION),
    "answering.debias": example("none", "rotations"),
    "limits.maxQueuedRequests": example(1, 10_000),
    "limits.maxQueuedTokens": example(512, 10_000_000),
    "limits.deadlineSeconds": example(1, 3600),
    "serviceAccount.annotations": example(
        {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/models"}, {"a.example.com/b": "ü 模"}
    ),
    "auth.apiKeysSecretRef.name": example("clients"),
    "ingress.enabled": Example((False,), {"ingress": {"host": "mcq.example.com"}}),
    "ingress.className": example("traefik", ingress=INGRESS),
    "ingress.host": example("other.example.com", "a", ingress=INGRESS),
    "ingress.path": example("/quiz", "/a/b~c/", ingress=INGRESS),
    "ingress.tlsSecretName": example("tls", ingress=INGRESS),
    "ingress.annotations": example({"example.com/team": "blau ü 模"}, ingress=INGRESS),
    "gateway.enabled": Example((True,), {"gateway": {"parentRefs": [{"name": "public"}]}}),
    "gateway.parentRefs[].name": example("other", gateway=GATEWAY),
    "gateway.parentRefs[].namespace": example("edge", gateway=GATEWAY),
    "gateway.parentRefs[].sectionName": example("https", gateway=GATEWAY),
    "gateway.parentRefs[].port": example(1, 65_535, gateway=GATEWAY),
    "gateway.hostnames": example(["mcq.example.com"], ["a.example.com", "b.example.com"], gateway=GATEWAY),
    "gateway.path": example("/quiz", gateway=GATEWAY),
    "service.ipFamilyPolicy": example("SingleStack"),
    "networkPolicy.enabled": example(True),
    "networkPolicy.allowedFrom": example(
        [{"podSelector": {"matchLabels": {"app": "web"}}}], [], networkPolicy={"enabled": True}
    ),
    "autoscaling.enabled": example(True),
    "autoscaling.provider": Example(("KEDA",), {"autoscaling": {"enabled": True}}),
    "autoscaling.minReplicas": example(2, 10, autoscaling=HPA),
    "autoscaling.maxReplicas": example(1, 1000, autoscaling=HPA),
    "autoscaling.targetQueueDepth": example(1, 10_000, autoscaling=HPA),
    "autoscaling.scaleDownSeconds": example(0, 3600, autoscaling=HPA),
    "autoscaling.prometheusAddress": example("https://prometheus.example.com", autoscaling=KEDA),
    "rollout.gate.examRef.name": example("aqua"),
    "rollout.gate.minAccuracy": example(0, 0.5, rollout=GATE),
    "rollout.gate.maxRegression": example(0, 1, rollout=GATE),
    "rollout.gate.maxCalibrationError": example(0.1, 1, rollout=GATE),
    "rollout.gate.watch.seconds": example(60, 86_400, rollout=WATCHED),
    "rollout.gate.watch.maxErrorIncrease": example(0, 1, rollout=WATCHED),
    "rollout.gate.watch.maxAbstentionIncrease": example(0, 1, rollout=WATCHED),
    "rollout.gate.watch.maxSlowdown": example(1, 3, rollout=WATCHED),
    "rollout.autoRollback": example(True),
    "rollout.startupSeconds": example(30, 86_400),
    "disruption.minAvailable": example(0, 2, "50%", "100%"),
    "storage.cache.type": Example(("PVC",)),
    "storage.cache.size": example("17Gi", "1Ti", storage=CLAIM),
    "storage.cache.storageClassName": example("shared", storage=CLAIM),
    "storage.cache.claimName": example("models", storage=CLAIM),
    "storage.cache.accessMode": example("ReadWriteMany", storage=CLAIM),
    "storage.backup.uri": example("s3://backups/mcq", "s3://a.b/c/D_e/"),
    "storage.backup.schedule": example("30 2 * * 1", "@hourly", storage=BACKUP),
    "storage.backup.keep": example(1, 1000, storage=BACKUP),
    "storage.backup.credentialsSecretRef.name": example("s3", storage=BACKUP),
    "storage.backup.resources.requests": example({"memory": "200Mi"}, {"cpu": "10m"}, storage=BACKUP),
    "storage.backup.resources.limits": example({"cpu": 1}, {"memory": "64Mi"}, storage=BACKUP),
    **_scheduling("storage.backup.scheduling", BACKUP),
    **_pod_template("storage.backup.podTemplate", storage=BACKUP),
    "tracing.enabled": Example((True,), {"tracing": {"endpoint": TRACING["endpoint"]}}),
    "tracing.endpoint": example("https://otel.example.com:4318/x", tracing=TRACING),
    "tracing.samplingRatio": example(0, 0.25, tracing=TRACING),
    "monitoring.serviceMonitor.enabled": example(False),
    "monitoring.serviceMonitor.intervalSeconds": example(1, 3600, monitoring=MONITOR),
    "monitoring.alerts.enabled": example(False),
    "monitoring.alerts.labels": example({"release": "prometheus"}, monitoring=ALERTS),
    "monitoring.alerts.availabilityObjective": example(0.5, 0.9999, monitoring=ALERTS),
    "monitoring.alerts.answerSeconds": example(0.05, 60, monitoring=ALERTS),
    "monitoring.alerts.latencyObjective": example(0.5, 0.999, monitoring=ALERTS),
    "monitoring.alerts.maxErrorRatio": example(0.001, 0.9, monitoring=ALERTS),
    "monitoring.alerts.maxQueueRatio": example(0.01, 0.99, monitoring=ALERTS),
    "monitoring.alerts.maxAbstentionRatio": example(0.01, 0.99, monitoring=ALERTS),
    "monitoring.alerts.maxCalibrationDrift": example(0.001, 0.5, monitoring=ALERTS),
    "monitoring.dashboards.enabled": example(False),
    "monitoring.dashboards.labels": example({"dashboards": "mine"}, {}, monitoring=DASHBOARDS),
    "monitoring.serviceMonitor.labels": example({"release": "prometheus"}, monitoring=MONITOR),
}
"""The examples by the leaf's path."""

TOGETHER: dict[str, dict[str, Any]] = {
    "engine.type": {"engine": {"openai": ENDPOINT}},
    "autoscaling.provider": {"autoscaling": {"prometheusAddress": KEDA["prometheusAddress"]}},
}
"""Fields that a leaf's values need, and that its base must not have."""

OPERATOR_ONLY = {
    "rollout.gate.examRef.name": "the exam that a change has to pass",
    "rollout.gate.minAccuracy": "the limits of the gate's MCQExam",
    "rollout.gate.maxRegression": "the limits of the gate's MCQExam",
    "rollout.gate.maxCalibrationError": "the limits of the gate's MCQExam",
    **{
        f"rollout.gate.watch.{leaf}": "whether a promoted change is withdrawn"
        for leaf in ("seconds", "maxErrorIncrease", "maxAbstentionIncrease", "maxSlowdown")
    },
    "rollout.autoRollback": "the operator's reaction to a failed roll-out",
}
"""Leaves that change no object, and the behaviour that they change instead."""
