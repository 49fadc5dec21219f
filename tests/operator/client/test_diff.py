"""Comparison of live with desired objects: the server's defaults are no difference, drift is one."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from mcq_operator.api.quantity import quantity
from mcq_operator.client.diff import covers, project

DESIRED: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "spec": {
                "nodeSelector": {"disk": "fast"},
                "containers": [
                    {
                        "name": "service",
                        "image": "service:1",
                        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                        "command": ["a", "b"],
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}


def stored_object() -> dict[str, Any]:
    """Return DESIRED as the API server stores it."""
    live = deepcopy(DESIRED)
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "annotations": {"someone": "else"}}
    live["metadata"]["labels"]["other"] = "label"
    live["spec"]["progressDeadlineSeconds"] = 600
    pod = live["spec"]["template"]["spec"]
    pod["restartPolicy"] = "Always"
    pod["containers"][0] |= {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}, "stdin": False}
    pod["containers"].insert(0, {"name": "injected-sidecar", "image": "proxy:1"})
    live["status"] = {"replicas": 3}
    return live


def container(live: dict[str, Any]) -> dict[str, Any]:
    service_container: dict[str, Any] = live["spec"]["template"]["spec"]["containers"][1]
    return service_container


def test_defaults_foreign_fields_and_spelling_are_not_a_difference() -> None:
    assert covers(stored_object(), DESIRED)


def pod_of(live: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = live["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    "drift",
    [
        lambda live: live["spec"].update(replicas=2),
        lambda live: live["spec"].pop("replicas"),
        lambda live: live["metadata"]["labels"].update(app="y"),
        lambda live: live["metadata"].pop("labels"),
        lambda live: live["spec"]["selector"]["matchLabels"].clear(),
        lambda live: live["spec"]["selector"].update(extra="key"),
        lambda live: pod_of(live)["nodeSelector"].update(zone="a"),
        lambda live: container(live).update(image="evil:1"),
        lambda live: container(live).update(name="renamed"),
        lambda live: container(live)["command"].append("c"),
        lambda live: container(live)["command"].reverse(),
        lambda live: container(live)["resources"]["requests"].update(cpu="2"),
        lambda live: container(live)["resources"]["requests"].pop("memory"),
        lambda live: container(live)["ports"][0].update(protocol="UDP"),
        lambda live: pod_of(live)["volumes"][0].pop("name"),
    ],
)
def test_each_drift_in_a_desired_field_is_a_difference(drift: Any) -> None:
    live = stored_object()
    drift(live)
    assert not covers(live, DESIRED)


NETWORK_POLICY = {
    "spec": {
        "ingress": [
            {
                "ports": [{"port": "http", "protocol": "TCP"}],
                "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
            }
        ]
    }
}
ROUTE = {
    "spec": {
        "parentRefs": [{"name": "public"}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "demo", "port": 80}],
            }
        ],
    }
}


@pytest.mark.parametrize(
    ("desired", "drift"),
    [
        (NETWORK_POLICY, lambda rule: rule["ports"].append({"port": 22, "protocol": "TCP"})),
        (NETWORK_POLICY, lambda rule: rule["ports"][0].update(endPort=9000)),
        (NETWORK_POLICY, lambda rule: rule["from"][0].update(namespaceSelector={})),
        (NETWORK_POLICY, lambda rule: rule["from"].append({"ipBlock": {"cidr": "0.0.0.0/0"}})),
        (NETWORK_POLICY, lambda rule: rule.pop("from")),
        (ROUTE, lambda rule: rule.update(filters=[{"type": "RequestMirror"}])),
        (ROUTE, lambda rule: rule["matches"][0].update(headers=[{"name": "a", "value": "b"}])),
        (ROUTE, lambda rule: rule["backendRefs"][0].update(namespace="other")),
        (ROUTE, lambda rule: rule["backendRefs"][0].update(weight=0)),
    ],
)
def test_an_addition_to_an_atomic_list_is_a_difference(desired: dict[str, Any], drift: Any) -> None:
    """No other manager can own a part of it."""
    live = deepcopy(desired)
    drift((live["spec"].get("rules") or live["spec"]["ingress"])[0])
    assert covers(deepcopy(desired), desired)
    assert not covers(live, desired)


def test_server_defaults_in_a_list_are_not_a_difference() -> None:
    live = deepcopy(ROUTE)
    live["spec"]["parentRefs"] = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}]
    live["spec"]["rules"][0]["backendRefs"] = [  # type: ignore[index]
        {"group": "", "kind": "Service", "name": "demo", "port": 80, "weight": 1}
    ]
    assert covers(live, ROUTE)


def test_zero_is_not_absence_and_true_is_not_one() -> None:
    assert not covers({}, {"replicas": 0})
    assert not covers({"replicas": True}, {"replicas": 1})
    assert not covers({"automount": None}, {"automount": False})


def test_an_empty_desired_value_is_covered_by_absence() -> None:
    assert covers({}, {"emptyDir": {}, "tolerations": []})


def test_only_the_fields_of_quantities_are_compared_as_numbers() -> None:
    assert covers({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}})
    assert covers({"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}})
    assert not covers({"data": {"THREADS": "1"}}, {"data": {"THREADS": "1000m"}})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", "0.25"),
        ("1", "1"),
        (2, "2"),
        ("1.5Gi", "1610612736"),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("5E", "5000000000000000000"),
    ],
)
def test_a_quantity_is_a_number(text: object, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Gi", "1Xi", "abc", None])
def test_an_invalid_quantity_has_no_number(text: object) -> None:
    assert quantity(text) is None


def test_a_projection_covers_itself_and_shows_a_webhooks_changes() -> None:
    live = stored_object()
    container(live)["image"] = "mirror/service:1"
    assert not covers(live, DESIRED)
    assert covers(live, project(live, DESIRED))
    container(live)["image"] = "evil:1"
    assert not covers(live, project(stored_object(), DESIRED))
