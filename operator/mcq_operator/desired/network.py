"""The network objects of a solver: Service, Ingress, HTTPRoute and NetworkPolicy."""

from typing import Any

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS, NETWORK_POLICY, SERVICE

from .manifest import manifest, settings_of

EXAMS = {"podSelector": {"matchLabels": names.EXAM_LABELS}}
"""The peer that matches the Pods of exams in the solver's namespace."""


def service(solver: MCQSolver) -> Manifest:
    """Return the Service, the stable address of a solver's ready replicas."""
    return manifest(
        SERVICE,
        solver,
        spec={
            "ipFamilyPolicy": solver.spec.service.ip_family_policy,
            "selector": names.selector_labels(solver),
            "ports": [
                {"name": "http", "port": names.SERVICE_PORT, "protocol": "TCP", "targetPort": "http"},
                # For the test question and Prometheus; no Ingress leads here.
                {"name": "probes", "port": names.PROBE_PORT, "protocol": "TCP", "targetPort": "probes"},
            ],
        },
    )


def with_served_path(solver: MCQSolver, pods: Manifest) -> MCQSolver:
    """Return the solver with the Ingress path that replicas of the template `pods` know.

    It is not the spec's while a gate, a rollback or an upgrade keeps replicas of an earlier spec: they would answer
    404. A first Ingress has the spec's path, because `/` would take the other requests of its host.
    """
    path = settings_of(pods).get("MCQ_ROOT_PATH", "")
    is_first = not path and INGRESS.named(solver.name) not in solver.status.inventory
    if path == solver.spec.ingress.path.rstrip("/") or is_first:
        return solver
    served = solver.spec.ingress.model_copy(update={"path": path or "/"})
    return solver.model_copy(update={"spec": solver.spec.model_copy(update={"ingress": served})})


def ingress(solver: MCQSolver) -> Manifest | None:
    """Return the Ingress, or None if it is off."""
    options = solver.spec.ingress
    if not options.is_on:
        return None
    backend = {"service": {"name": solver.name, "port": {"name": "http"}}}
    spec: dict[str, Any] = {
        "ingressClassName": options.class_name,
        "rules": [
            {
                "host": options.host,
                "http": {"paths": [{"path": options.path, "pathType": "Prefix", "backend": backend}]},
            }
        ],
    }
    if options.tls_secret_name:
        spec["tls"] = [{"hosts": [options.host], "secretName": options.tls_secret_name}]
    return manifest(INGRESS, solver, annotations=dict(options.annotations or {}), spec=spec)


def http_route(solver: MCQSolver) -> Manifest | None:
    """Return the HTTPRoute, or None if the gateway is off."""
    options = solver.spec.gateway
    if not options.enabled:
        return None
    return manifest(
        HTTP_ROUTE,
        solver,
        spec={
            "parentRefs": [
                parent.model_dump(by_alias=True, exclude_none=True) for parent in options.parent_refs or []
            ],
            "hostnames": list(options.hostnames or []) or None,
            "rules": _rules(solver, options.path.rstrip("/")),
        },
    )


def _rules(solver: MCQSolver, prefix: str) -> list[dict[str, Any]]:
    """Return the rules that strip the prefix from requests, so that replicas need not know it."""
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
    """Return the NetworkPolicy, or None if it is off. The replicas' node may always probe them."""
    options = solver.spec.network_policy
    if not options.enabled:
        return None
    ports = [{"port": port, "protocol": "TCP"} for port in ("http", "probes")]
    allowed: dict[str, Any] = {"ports": ports}
    if options.allowed_from is not None:
        allowed["from"] = [*options.allowed_from, _operator(operator_namespace), EXAMS]
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
    """Return the peer that matches the operator's Pods. The namespace counts: any user may set the label elsewhere."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {names.NAME_LABEL: names.OPERATOR_NAME}},
    }
