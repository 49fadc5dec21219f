"""For each leaf of MCQSolver's spec a value other than its default, and what else a spec must have for it to count.

The page is made from them, and the tests change each leaf of a running solver by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """`values` are valid, each beside `base`."""

    values: tuple[Any, ...]
    base: dict[str, Any] = field(default_factory=dict)


def example(*values: Any, **base: Any) -> Example:
    """An example whose base is given by the spec's fields."""
    return Example(values, base)


ENDPOINT = {"endpoint": "http://vllm.models.svc:8000/v1"}
OPENAI = {"type": "OpenAI", "openai": ENDPOINT}
KEY = {"type": "OpenAI", "openai": {**ENDPOINT, "apiKeySecretRef": {"name": "vllm", "key": "token"}}}
INGRESS = {"enabled": True, "host": "mcq.example.com"}
GATEWAY = {"enabled": True, "parentRefs": [{"name": "public"}]}
HPA = {"enabled": True}
KEDA = {"enabled": True, "provider": "KEDA", "prometheusAddress": "http://prometheus.monitoring.svc:9090"}
BACKUP = {"backup": {"uri": "s3://backups"}}
TRACING = {"enabled": True, "endpoint": "http://jaeger.monitoring.svc:4318"}
GATE = {"gate": {"examRef": {"name": "aqua"}}}
MONITOR = {"serviceMonitor": {"enabled": True}}
DASHBOARDS = {"dashboards": {"enabled": True}}
ALERTS = {"alerts": {"enabled": True}}
TOLERATION = {"tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}]}
SPREAD = {"topologySpread": [{"topologyKey": "topology.kubernetes.io/zone"}]}
ZONES = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}
]}}  # fmt: skip

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
    ),
    "model.revision": example("main", "refs/pr/1", "v1.0_x"),
    "model.digest": example("sha256:" + "0" * 64, "sha256:" + "f" * 64),
    "model.credentialsSecretRef.name": example("models-reader", "a", model={"uri": "s3://models/qwen"}),
    "model.precision": example("float32", "bfloat16", "int8"),
    "engine.type": example("OpenAI"),
    "engine.openai.endpoint": example("https://other.example.com", "http://10.0.0.1:1", engine=OPENAI),
    "engine.openai.model": example("qwen", "größer/模型", engine=OPENAI),
    "engine.openai.apiKeySecretRef.name": example("other", engine=KEY),
    "engine.openai.apiKeySecretRef.key": example("other", ".x_-", engine=KEY),
    "engine.threads": example(1, 256),
    "engine.maxBatchSize": example(1, 256),
    "engine.contextLength": example(512, 131_072),
    "image": example("registry.example.com/mcq-service:9", "a"),
    "imagePullPolicy": example("Always", "Never"),
    "imagePullSecrets[].name": example("registry", "a" * 253),
    "replicas": example(1, 5),
    "resources.requests": example({"cpu": 1, "memory": "2Gi"}, {"cpu": "100m"}),
    "resources.limits": example({"memory": "2Gi", "nvidia.com/gpu": 1}, {"memory": "1e9"}),
    "scheduling.nodeSelector": example({"disk": "fast"}, {"a.example.com/b": ""}),
    "scheduling.tolerations[].key": example("other", scheduling=TOLERATION),
    "scheduling.tolerations[].operator": Example(
        ("Exists",), {"scheduling": {"tolerations": [{"key": "gpu"}]}}
    ),
    "scheduling.tolerations[].value": example("no", "", scheduling=TOLERATION),
    "scheduling.tolerations[].effect": example("NoSchedule", "PreferNoSchedule", scheduling=TOLERATION),
    "scheduling.tolerations[].tolerationSeconds": example(0, 300, scheduling=TOLERATION),
    "scheduling.affinity": example(ZONES),
    "scheduling.topologySpread[].topologyKey": example("rack", scheduling=SPREAD),
    "scheduling.topologySpread[].maxSkew": example(2, 100, scheduling=SPREAD),
    "scheduling.topologySpread[].whenUnsatisfiable": example("DoNotSchedule", scheduling=SPREAD),
    "scheduling.priorityClassName": example("system-cluster-critical", "high"),
    "scheduling.runtimeClassName": example("gvisor"),
    "answering.defaultMode": example("answer", "reason"),
    "answering.maxReasoningTokens": example(1, 512),
    "answering.minConfidence": example(0.5, 1),
    "answering.debias": example("none", "rotations"),
    "limits.maxQueuedRequests": example(1, 10_000),
    "limits.maxQueuedTokens": example(512, 10_000_000),
    "limits.deadlineSeconds": example(1, 3600),
    "serviceAccount.annotations": example(
        {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/models"}, {"a.example.com/b": "ü 模"}
    ),
    "auth.apiKeysSecretRef.name": example("clients"),
    "ingress.enabled": Example((True,), {"ingress": {"host": "mcq.example.com"}}),
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
    "rollout.autoRollback": example(True),
    "rollout.startupSeconds": example(30, 86_400),
    "disruption.minAvailable": example(0, 2, "50%", "100%"),
    "storage.cache.type": Example(("EmptyDir",)),
    "storage.cache.size": example("17Gi", "1Ti"),
    "storage.cache.storageClassName": example("shared"),
    "storage.cache.claimName": example("models"),
    "storage.cache.accessMode": example("ReadWriteMany"),
    "storage.backup.uri": example("s3://backups/mcq", "s3://a.b/c/D_e/"),
    "storage.backup.schedule": example("30 2 * * 1", "@hourly", storage=BACKUP),
    "storage.backup.keep": example(1, 1000, storage=BACKUP),
    "storage.backup.credentialsSecretRef.name": example("s3", storage=BACKUP),
    "tracing.enabled": Example((True,), {"tracing": {"endpoint": TRACING["endpoint"]}}),
    "tracing.endpoint": example("https://otel.example.com:4318/x", tracing=TRACING),
    "tracing.samplingRatio": example(0, 0.25, tracing=TRACING),
    "monitoring.serviceMonitor.enabled": example(True),
    "monitoring.serviceMonitor.intervalSeconds": example(1, 3600, monitoring=MONITOR),
    "monitoring.alerts.enabled": example(True),
    "monitoring.alerts.labels": example({"release": "prometheus"}, monitoring=ALERTS),
    "monitoring.alerts.availabilityObjective": example(0.5, 0.9999, monitoring=ALERTS),
    "monitoring.alerts.answerSeconds": example(0.05, 60, monitoring=ALERTS),
    "monitoring.alerts.latencyObjective": example(0.5, 0.999, monitoring=ALERTS),
    "monitoring.alerts.maxErrorRatio": example(0.001, 0.9, monitoring=ALERTS),
    "monitoring.alerts.maxQueueRatio": example(0.01, 0.99, monitoring=ALERTS),
    "monitoring.alerts.maxAbstentionRatio": example(0.01, 0.99, monitoring=ALERTS),
    "monitoring.alerts.maxCalibrationDrift": example(0.001, 0.5, monitoring=ALERTS),
    "monitoring.dashboards.enabled": example(True),
    "monitoring.dashboards.labels": example({"dashboards": "mine"}, {}, monitoring=DASHBOARDS),
    "monitoring.serviceMonitor.labels": example({"release": "prometheus"}, monitoring=MONITOR),
}
"""By the leaf's path."""

TOGETHER: dict[str, dict[str, Any]] = {
    "engine.type": {"engine": {"openai": ENDPOINT}},
    "autoscaling.provider": {"autoscaling": {"prometheusAddress": KEDA["prometheusAddress"]}},
}
"""What a leaf's values need beside them, and its base may not have."""

OPERATOR_ONLY = {
    "rollout.gate.examRef.name": "which exam a change has to pass",
    "rollout.gate.minAccuracy": "what the gate's MCQExam asks",
    "rollout.gate.maxRegression": "what the gate's MCQExam asks",
    "rollout.gate.maxCalibrationError": "what the gate's MCQExam asks",
    "rollout.autoRollback": "what the operator does with a roll-out that fails",
}
"""Leaves that change no object, and what they change instead."""
