"""How questions reach the replicas."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import HTTP_ROUTE, INGRESS, NETWORK_POLICY, SERVICE

from .manifest import manifest

EXAMS = {"podSelector": {"matchLabels": names.EXAM_LABELS}}
"""The Pods of exams in the solver's namespace."""


def service(solver: MCQSolver) -> Manifest:
    """The stable address of a solver's ready replicas."""
    return manifest(
        SERVICE,
        solver,
        spec={
            "ipFamilyPolicy": solver.spec.service.ip_family_policy,
            "selector": names.selector_labels(solver),
            "ports": [
                {"name": "http", "port": names.SERVICE_PORT, "protocol": "TCP", "targetPort": "http"},
                # For the test question and Prometheus; no Ingress leads to it.
                {"name": "probes", "port": names.PROBE_PORT, "protocol": "TCP", "targetPort": "probes"},
            ],
        },
    )


def ingress(solver: MCQSolver) -> Manifest | None:
    """The way in from outside the cluster, where it is wanted."""
    wanted = solver.spec.ingress
    if not wanted.is_on:
        return None
    backend = {"service": {"name": solver.name, "port": {"name": "http"}}}
    spec: dict[str, Any] = {
        "ingressClassName": wanted.class_name,
        "rules": [
            {
                "host": wanted.host,
                "http": {"paths": [{"path": wanted.path, "pathType": "Prefix", "backend": backend}]},
            }
        ],
    }
    if wanted.tls_secret_name:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_name}]
    return manifest(INGRESS, solver, annotations=dict(wanted.annotations or {}), spec=spec)


def http_route(solver: MCQSolver) -> Manifest | None:
    """The way in through Gateways, where it is wanted."""
    wanted = solver.spec.gateway
    if not wanted.enabled:
        return None
    return manifest(
        HTTP_ROUTE,
        solver,
        spec={
            "parentRefs": [
                parent.model_dump(by_alias=True, exclude_none=True) for parent in wanted.parent_refs or []
            ],
            "hostnames": list(wanted.hostnames or []) or None,
            "rules": _rules(solver, wanted.path.rstrip("/")),
        },
    )


def _rules(solver: MCQSolver, prefix: str) -> list[dict[str, Any]]:
    """What a Gateway does with requests below the prefix: it strips it, so that replicas need not know it."""
    to_replicas = {"backendRefs": [{"name": solver.name, "port": names.SERVICE_PORT}]}
    if not prefix:
        return [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], **to_replicas}]
    slash_added = {"type": "ReplaceFullPath", "replaceFullPath": f"{prefix}/"}
    stripped = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    return [
        {
            # The page's links are relative to a path that ends with a slash.
            "matches": [{"path": {"type": "Exact", "value": prefix}}],
            "filters": [
                {"type": "RequestRedirect", "requestRedirect": {"path": slash_added, "statusCode": 302}}
            ],
        },
        {
            "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": stripped}}],
            **to_replicas,
        },
    ]


def network_policy(solver: MCQSolver, *, operator_namespace: str) -> Manifest | None:
    """Who may reach the replicas, where that is restricted; their node, which probes them, always may."""
    wanted = solver.spec.network_policy
    if not wanted.enabled:
        return None
    ports = [{"port": port, "protocol": "TCP"} for port in ("http", "probes")]
    allowed: dict[str, Any] = {"ports": ports}
    if wanted.allowed_from is not None:
        allowed["from"] = [*wanted.allowed_from, _operator(operator_namespace), EXAMS]
    return manifest(
        NETWORK_POLICY,
        solver,
        spec={
            "podSelector": {"matchLabels": names.selector_labels(solver)},
            "policyTypes": ["Ingress"],
            "ingress": [allowed],
        },
    )


def _operator(namespace: str) -> dict[str, Any]:
    """The Pods that ask the test question: anyone can give a Pod their label, but not in their namespace."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {names.NAME_LABEL: names.OPERATOR_NAME}},
    }
