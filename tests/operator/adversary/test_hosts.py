"""A tenant can't take another team's requests by a host or path."""

import asyncio
from typing import Any

import pytest
from tests.operator.adversary.conftest import Tenant
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import condition, existing


def way_in(host: str, path: str = "/", **more: Any) -> dict[str, Any]:
    return {"ingress": {"enabled": True, "host": host, "path": path, **more}}


@pytest.mark.parametrize(
    ("host", "path", "rule"),
    [
        ("mcq.localhost", "/zz-review", "mcq.localhost/*=theirs:80"),
        pytest.param("mcq.localhost", "/", "mcq.localhost/app*=theirs:80", marks=pytest.mark.slow),
        pytest.param("mcq.localhost", "/app", "mcq.localhost/app=theirs:80", marks=pytest.mark.slow),
        pytest.param("mcq.team.example.com", "/", "*.example.com/*=theirs:80", marks=pytest.mark.slow),
    ],
)
async def test_a_solver_takes_requests_of_the_ingress_of_another_namespace(
    kubectl: Kubectl, victims: Kubectl, bench: Bench, tenant: Tenant, host: str, path: str, rule: str
) -> None:
    victims("create", "ingress", "theirs", f"--rule={rule}")
    bench.restart(victims.namespace)
    # Another class of the same controller would get them all the same.
    tenant.solver(way_in(host, path, className="other"))
    result = await bench.result()
    assert kubectl.get("ingress", "demo") is None
    ready = condition(kubectl, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "HostConflict")
    assert f"Ingress {victims.namespace}/theirs already takes the requests of" in ready["message"]
    assert result.requeue_after is not None
    victims("delete", "ingress", "theirs")
    bench.restart(victims.namespace)
    await bench.settle()
    assert kubectl.get("ingress", "demo") is not None
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_an_ingress_that_is_older_is_moved_to_the_host_of_another_namespace(
    kubectl: Kubectl, victims: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    """The Ingress keeps its earlier host until the spec is corrected."""
    bench.restart(victims.namespace)
    tenant.solver(way_in("own.localhost"))
    await bench.settle()
    await asyncio.sleep(1.1)  # ages are in whole seconds
    victims("create", "ingress", "theirs", "--rule=mcq.localhost/*=theirs:80")
    tenant.solver(way_in("mcq.localhost", "/zz"))
    await bench.settle()
    rules = existing(kubectl, "ingress", "demo")["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["own.localhost"]
    assert condition(kubectl, "Ready")["reason"] == "HostConflict"
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "Ingress" in {each["kind"] for each in inventory}


async def test_two_ask_for_one_host_at_the_same_moment_and_the_younger_one_keeps_it(
    kubectl: Kubectl, victims: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    """The operator deletes an Ingress that it applied before it observed the conflict."""
    victims("create", "ingress", "theirs", "--rule=mcq.localhost/*=theirs:80")
    await asyncio.sleep(1.1)
    # This one does not see the other namespace, as one whose list is of a moment before.
    bench.restart()
    tenant.solver(way_in("mcq.localhost"))
    result = await bench.result()
    assert kubectl.get("ingress", "demo") is not None
    assert result.requeue_after is not None
    assert result.requeue_after < 5
    bench.restart(victims.namespace)
    await bench.settle()
    assert kubectl.get("ingress", "demo") is None
    assert existing(victims, "ingress", "theirs")
