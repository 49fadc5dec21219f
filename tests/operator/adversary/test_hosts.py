"""A tenant can't take another team's requests with its host or path."""

import asyncio
from typing import Any

import pytest
from tests.operator.adversary.conftest import Tenant
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import condition, existing


def ingress_spec(host: str, path: str = "/", **more: Any) -> dict[str, Any]:
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
async def test_a_solver_takes_no_requests_of_another_namespaces_ingress(
    kubectl: Kubectl, victim: Kubectl, bench: Bench, tenant: Tenant, host: str, path: str, rule: str
) -> None:
    victim("create", "ingress", "theirs", f"--rule={rule}")
    bench.restart(victim.namespace)
    # Another class may belong to the same controller, so it conflicts, too.
    tenant.solver(ingress_spec(host, path, className="other"))
    result = await bench.result()
    assert kubectl.get("ingress", "demo") is None
    ready = condition(kubectl, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "HostConflict")
    assert f"Ingress {victim.namespace}/theirs already takes the requests of" in ready["message"]
    assert result.requeue_after is not None
    victim("delete", "ingress", "theirs")
    bench.restart(victim.namespace)
    await bench.settle()
    assert kubectl.get("ingress", "demo") is not None
    assert condition(kubectl, "Degraded")["status"] == "False"


async def test_an_older_ingress_does_not_move_to_another_namespaces_host(
    kubectl: Kubectl, victim: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    """The Ingress keeps its earlier host until the spec is corrected."""
    bench.restart(victim.namespace)
    tenant.solver(ingress_spec("own.localhost"))
    await bench.settle()
    await asyncio.sleep(1.1)  # creation times are in whole seconds
    victim("create", "ingress", "theirs", "--rule=mcq.localhost/*=theirs:80")
    tenant.solver(ingress_spec("mcq.localhost", "/zz"))
    await bench.settle()
    rules = existing(kubectl, "ingress", "demo")["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["own.localhost"]
    assert condition(kubectl, "Ready")["reason"] == "HostConflict"
    inventory = existing(kubectl, "mcq", "demo")["status"]["inventory"]
    assert "Ingress" in {each["kind"] for each in inventory}


async def test_the_younger_of_two_ingresses_gives_up_the_host(
    kubectl: Kubectl, victim: Kubectl, bench: Bench, tenant: Tenant
) -> None:
    """The operator deletes an Ingress that it applied before it observed the conflict."""
    victim("create", "ingress", "theirs", "--rule=mcq.localhost/*=theirs:80")
    await asyncio.sleep(1.1)
    # This operator does not list the other namespace, as if its list were older than the other Ingress.
    bench.restart()
    tenant.solver(ingress_spec("mcq.localhost"))
    result = await bench.result()
    assert kubectl.get("ingress", "demo") is not None
    assert result.requeue_after is not None
    assert result.requeue_after < 5
    bench.restart(victim.namespace)
    await bench.settle()
    assert kubectl.get("ingress", "demo") is None
    assert existing(victim, "ingress", "theirs")
