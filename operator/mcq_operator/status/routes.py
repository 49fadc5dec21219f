"""The ways in from outside the cluster: whether an Ingress controller and Gateways have taken them."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver
from mcq_operator.models.kinds import HTTP_ROUTE, INGRESS
from mcq_operator.models.observed import Observed

from .failures import absence, quoted
from .finding import Finding

CLASS_ANNOTATION = "kubernetes.io/ingress.class"


def findings(solver: MCQSolver, observed: Observed) -> list[Finding]:
    """One condition for each way in that the spec asks for."""
    found = []
    if solver.spec.ingress.is_on:
        ingress = observed.ingress
        found.append(_not_applied("IngressReady", INGRESS.kind, ingress, observed) or _ingress(ingress))
    if solver.spec.gateway.enabled:
        route = observed.route
        found.append(_not_applied("RouteAccepted", HTTP_ROUTE.kind, route, observed) or _route(solver, route))
    return found


def _not_applied(condition: str, kind: str, live: Manifest | None, observed: Observed) -> Finding | None:
    """The condition of an object that could not be applied, or that another namespace's host withholds."""
    if (absent := absence(observed, kind)) is not None:
        return Finding(condition, "False", "CRDNotInstalled", absent)
    if live is None and any(rival.elsewhere for rival in observed.rivals):
        message = (
            f"The {kind} is not applied: another namespace has its host. The Degraded condition says which."
        )
        return Finding(condition, "False", "HostConflict", message)
    for ref in (*observed.conflicts, *(refusal.ref for refusal in observed.refused)):
        if ref.kind == kind:
            message = f"The {kind} could not be applied; the Degraded condition says why."
            return Finding(condition, "False", "NotApplied", message)
    return None


def _ingress(ingress: Manifest | None) -> Finding:
    """Of the status that its controller writes: an address means that it is served."""

    def false(reason: str, message: str) -> Finding:
        return Finding("IngressReady", "False", reason, message)

    if ingress is None:
        return false("Creating", "The Ingress has not been created yet.")
    addresses = ingress.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    if addresses:
        shown = ", ".join(each.get("hostname") or each.get("ip", "") for each in addresses)
        return Finding("IngressReady", "True", "Served", f"The Ingress controller serves it at {shown}.")
    name = ingress["spec"].get("ingressClassName")
    if not name and CLASS_ANNOTATION not in ingress["metadata"].get("annotations", {}):
        return false(
            "NoIngressClass",
            "No Ingress controller serves it: ingress.className is left out, and the cluster has no default"
            " IngressClass. Name one of: kubectl get ingressclasses",
        )
    return false(
        "NoAddress",
        f"No Ingress controller has reported an address for class {name or 'of its annotation'} yet. See that the"
        " class exists (kubectl get ingressclasses), that its controller runs, and that it publishes addresses.",
    )


def _route(solver: MCQSolver, route: Manifest | None) -> Finding:
    """Of the status that each Gateway's controller writes: all of them have to take the route."""

    def false(reason: str, message: str) -> Finding:
        return Finding("RouteAccepted", "False", reason, message)

    if route is None:
        return false("Creating", "The HTTPRoute has not been created yet.")
    told = route.get("status", {}).get("parents", [])
    generation = route["metadata"].get("generation", 0)
    for parent in solver.spec.gateway.parent_refs or []:
        gateway = f"{parent.namespace or solver.namespace}/{parent.name}"
        answers = [each for each in told if _is_about(each["parentRef"], parent.model_dump(), solver)]
        conditions = [
            condition
            for answer in answers
            for condition in answer.get("conditions", [])
            if condition.get("observedGeneration", generation) >= generation
        ]
        for condition in conditions:
            if condition["type"] in {"Accepted", "ResolvedRefs"} and condition["status"] != "True":
                said = quoted(condition.get("message", ""))
                return false(
                    condition.get("reason") or "NotAccepted", f"Gateway {gateway} refuses it: {said}"
                )
        if not any(condition["type"] == "Accepted" for condition in conditions):
            return false(
                "Waiting",
                f"Gateway {gateway} has not taken it yet. See that the Gateway exists, has a controller, and allows"
                f" routes of namespace {solver.namespace}.",
            )
    return Finding("RouteAccepted", "True", "Accepted", "Every Gateway has taken it.")


def _is_about(told: dict[str, Any], wanted: dict[str, Any], solver: MCQSolver) -> bool:
    """Whether a status is about the Gateway, and the listener and port, that the spec names."""
    return bool(
        told.get("name") == wanted["name"]
        and told.get("namespace", solver.namespace) == (wanted["namespace"] or solver.namespace)
        and told.get("sectionName") == wanted["section_name"]
        and told.get("port") == wanted["port"]
    )
