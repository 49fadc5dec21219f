"""The conditions IngressReady and RouteAccepted, and their effect on Ready."""

from typing import Any

import pytest
from tests.operator.status.test_status import ANSWERED, condition
from tests.operator.support import NOON, deployment, solver

from mcq_operator import status
from mcq_operator.api import Manifest, SolverStatus
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS
from mcq_operator.api.observed import ObservedSolver, Refusal, Rival

INGRESS_SPEC = {"ingress": {"host": "mcq.example.com"}}
GATEWAY_SPEC = {
    "gateway": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "https"}, {"name": "inner"}],
    }
}


def status_of(spec: dict[str, Any], **observed: Any) -> SolverStatus:
    """Return the status of a solver with answering replicas."""
    return status.of(
        solver(spec),
        observed=ObservedSolver(deployment=deployment(), **observed),
        verdict=ANSWERED,
        inventory=[],
        replicas_digest="",
        template_digest="",
        now=NOON,
    )


def ingress(
    *addresses: dict[str, str], class_name: str | None = "traefik", annotations: dict[str, str] | None = None
) -> Manifest:
    return {
        "metadata": {"annotations": annotations or {}},
        "spec": {"ingressClassName": class_name} if class_name else {},
        "status": {"loadBalancer": {"ingress": [*addresses]}} if addresses else {"loadBalancer": {}},
    }


def parent(
    name: str, *, accepted: str = "True", resolved: str = "True", generation: int = 2, **ref: str
) -> dict[str, Any]:
    """Return a Gateway's part of a route's status, as the Gateway's controller writes it."""
    return {
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name, **ref},
        "controllerName": "example.com/controller",
        "conditions": [
            {
                "type": kind,
                "status": value,
                "reason": "Accepted" if value == "True" else "NotAllowedByListeners",
                "message": "" if value == "True" else "the listener allows no route of this namespace",
                "observedGeneration": generation,
            }
            for kind, value in (("Accepted", accepted), ("ResolvedRefs", resolved))
        ],
    }


def route(*parents: dict[str, Any]) -> Manifest:
    return {"metadata": {"generation": 2}, "spec": {}, "status": {"parents": [*parents]}}


PUBLIC: dict[str, Any] = {"namespace": "edge", "sectionName": "https"}


@pytest.mark.parametrize(
    ("live", "state", "reason", "text"),
    [
        (None, "False", "Creating", "not been created"),
        (ingress(), "False", "NoAddress", "class traefik yet. Check that the class exists"),
        (ingress(class_name=None), "False", "NoIngressClass", "no default IngressClass"),
        (
            ingress(class_name=None, annotations={"kubernetes.io/ingress.class": "nginx"}),
            "False",
            "NoAddress",
            "has reported an address",
        ),
        (ingress({"ip": "192.0.2.7"}), "True", "Served", "192.0.2.7"),
        (
            ingress({"hostname": "lb.example.com"}, {"ip": "fd00::1"}),
            "True",
            "Served",
            "lb.example.com, fd00::1",
        ),
        (ingress({"ip": "192.0.2.7"}, class_name=None), "True", "Served", "192.0.2.7"),
    ],
)
def test_an_ingress_is_ready_when_its_controller_has_given_it_an_address(
    live: Manifest | None, state: str, reason: str, text: str
) -> None:
    actual = status_of(INGRESS_SPEC, ingress=live)
    route_condition = condition(actual, "IngressReady")
    assert (route_condition.status, route_condition.reason) == (state, reason)
    assert text in route_condition.message
    ready = condition(actual, "Ready")
    assert ready.status == state
    if state == "False":
        assert (ready.reason, text in ready.message) == (reason, True)


@pytest.mark.parametrize(
    ("live", "state", "reason", "text"),
    [
        (None, "False", "Creating", "not been created"),
        (route(), "False", "Waiting", "edge/public has not accepted the HTTPRoute"),
        (route(parent("public", **PUBLIC)), "False", "Waiting", "team/inner has not accepted the HTTPRoute"),
        (route(parent("public", **PUBLIC), parent("inner")), "True", "Accepted", "Every Gateway"),
        (
            route(parent("public", **PUBLIC), parent("inner", namespace="team")),
            "True",
            "Accepted",
            "Every Gateway",
        ),
        (
            route(parent("public", namespace="edge", sectionName="http"), parent("inner")),
            "False",
            "Waiting",
            "edge/public has not accepted the HTTPRoute",
        ),
        (
            route(parent("public", **PUBLIC, accepted="False"), parent("inner")),
            "False",
            "NotAllowedByListeners",
            "edge/public refuses the HTTPRoute: “the listener allows no route of this namespace”",
        ),
        (
            route(parent("public", **PUBLIC), parent("inner", resolved="False")),
            "False",
            "NotAllowedByListeners",
            "team/inner refuses the HTTPRoute",
        ),
        (
            route(parent("public", **PUBLIC, accepted="False", generation=1), parent("inner")),
            "False",
            "Waiting",
            "edge/public has not accepted the HTTPRoute",
        ),
    ],
)
def test_a_route_is_accepted_when_every_gateway_accepts_it(
    live: Manifest | None, state: str, reason: str, text: str
) -> None:
    """Each Gateway must accept the current route for the listener that the spec names."""
    actual = status_of(GATEWAY_SPEC, route=live)
    route_condition = condition(actual, "RouteAccepted")
    assert (route_condition.status, route_condition.reason) == (state, reason)
    assert text.replace("“", "").split(": ")[0] in route_condition.message
    assert condition(actual, "Ready").status == state


def test_an_unapplied_routes_condition_points_to_degraded() -> None:
    refused = [Refusal(ref=INGRESS.named("demo"), message="denied")]
    assert condition(status_of(INGRESS_SPEC, refused=refused), "IngressReady").reason == "NotApplied"
    assert (
        condition(status_of(INGRESS_SPEC, conflicts=[INGRESS.named("demo")]), "IngressReady").reason
        == "NotApplied"
    )
    absent = condition(status_of(GATEWAY_SPEC, absent=[HTTP_ROUTE.named("demo")]), "RouteAccepted")
    assert absent.reason == "CRDNotInstalled"


def test_a_withheld_ingress_reports_the_host_conflict() -> None:
    rivals = [Rival(ref="Ingress other/theirs", route="mcq.example.com/", elsewhere=True)]
    parents = route(parent("public", **PUBLIC), parent("inner"))
    actual = status_of({**INGRESS_SPEC, **GATEWAY_SPEC}, rivals=rivals, route=parents)
    assert condition(actual, "IngressReady").reason == "HostConflict"
    assert condition(actual, "RouteAccepted").status == "True"
    assert condition(actual, "Ready").status == "False"


def test_a_solver_without_a_route_has_no_route_condition() -> None:
    actual = status_of({})
    assert {"IngressReady", "RouteAccepted"}.isdisjoint({each.type for each in actual.conditions})
    assert condition(actual, "Ready").status == "True"


@pytest.mark.parametrize(
    ("spec", "monitored", "state", "reason"),
    [
        ({}, True, "True", "Applied"),
        ({}, False, "True", "NotInstalled"),
        (
            {"monitoring": {"serviceMonitor": {"enabled": False}, "alerts": {"enabled": False}}},
            False,
            "True",
            "NotWanted",
        ),
    ],
)
def test_auto_accepts_a_cluster_without_prometheus_operator(
    spec: dict[str, Any], state: str, reason: str, *, monitored: bool
) -> None:
    actual = condition(status_of(spec, monitored=monitored), "MonitoringReady")
    assert (actual.status, actual.reason) == (state, reason)
