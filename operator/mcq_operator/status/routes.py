"""The Ingress and the HTTPRoute of a solver: whether their controllers have accepted them."""

from functools import partial
from typing import Any

from mcq_operator.api import Manifest, MCQSolver
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS
from mcq_operator.api.observed import ObservedSolver

from .failures import absence, not_applied
from .finding import Finding, quoted

CLASS_ANNOTATION = "kubernetes.io/ingress.class"


def findings(solver: MCQSolver, observed: ObservedSolver) -> list[Finding]:
    """Return a condition for each way in that the spec asks for."""
    conditions = []
    if solver.spec.ingress.is_on:
        ingress = observed.ingress
        conditions.append(_not_applied("IngressReady", INGRESS.kind, ingress, observed) or _ingress(ingress))
    if solver.spec.gateway.enabled:
        route = observed.route
        conditions.append(
            _not_applied("RouteAccepted", HTTP_ROUTE.kind, route, observed) or _route(solver, route)
        )
    return conditions


def _not_applied(
    condition: str, kind: str, live: Manifest | None, observed: ObservedSolver
) -> Finding | None:
    """Return the condition of an object that was not applied, or None."""
    if (absent := absence(observed, kind)) is not None:
        return Finding(condition, "False", "CRDNotInstalled", absent)
    if live is None and any(rival.elsewhere for rival in observed.rivals):
        message = (
            f"The {kind} is not applied: another namespace has its host. The Degraded condition says which."
        )
        return Finding(condition, "False", "HostConflict", message)
    return not_applied(condition, observed, kind)


def _ingress(ingress: Manifest | None) -> Finding:
    """Read the status that the Ingress controller writes: an address means that it serves the Ingress."""
    false = partial(Finding, "IngressReady", "False")
    if ingress is None:
        return false("Creating", "The Ingress has not been created yet.")
    addresses = ingress.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    if addresses:
        shown = ", ".join(each.get("hostname") or each.get("ip", "") for each in addresses)
        return Finding(
            "IngressReady", "True", "Served", f"The Ingress controller serves the Ingress at {shown}."
        )
    name = ingress["spec"].get("ingressClassName")
    if not name and CLASS_ANNOTATION not in ingress["metadata"].get("annotations", {}):
        return false(
            "NoIngressClass",
            "No Ingress controller serves the Ingress: spec.ingress.className is empty, and the cluster has no default"
            " IngressClass. Name one of: kubectl get ingressclasses",
        )
    return false(
        "NoAddress",
        "No Ingress controller has reported an address for"
        f" {f'class {name}' if name else 'the class in the annotation'} yet. Check that the class exists (kubectl get"
        " ingressclasses), that its controller runs, and that it publishes addresses.",
    )


def _route(solver: MCQSolver, route: Manifest | None) -> Finding:
    """Read the statuses that the Gateways' controllers write: all of them must accept the route."""
    false = partial(Finding, "RouteAccepted", "False")
    if route is None:
        return false("Creating", "The HTTPRoute has not been created yet.")
    parent_statuses = route.get("status", {}).get("parents", [])
    generation = route["metadata"].get("generation", 0)
    for parent in solver.spec.gateway.parent_refs or []:
        gateway = f"{parent.namespace or solver.namespace}/{parent.name}"
        answers = [
            each for each in parent_statuses if _is_about(each["parentRef"], parent.model_dump(), solver)
        ]
        conditions = [
            condition
            for answer in answers
            for condition in answer.get("conditions", [])
            if condition.get("observedGeneration", generation) >= generation
        ]
        for condition in conditions:
            if condition["type"] in {"Accepted", "ResolvedRefs"} and condition["status"] != "True":
                detail = quoted(condition.get("message", ""))
                return false(
                    condition.get("reason") or "NotAccepted",
                    f"Gateway {gateway} refuses the HTTPRoute: {detail}",
                )
        if not any(condition["type"] == "Accepted" for condition in conditions):
            return false(
                "Waiting",
                f"Gateway {gateway} has not accepted the HTTPRoute yet. Check that the Gateway exists, has a"
                f" controller, and allows routes of namespace {solver.namespace}.",
            )
    return Finding("RouteAccepted", "True", "Accepted", "Every Gateway has accepted the HTTPRoute.")


def _is_about(parent: dict[str, Any], desired: dict[str, Any], solver: MCQSolver) -> bool:
    """Return whether a status is about the Gateway, listener and port that the spec names."""
    return bool(
        parent.get("name") == desired["name"]
        and parent.get("namespace", solver.namespace) == (desired["namespace"] or solver.namespace)
        and parent.get("sectionName") == desired["section_name"]
        and parent.get("port") == desired["port"]
    )
