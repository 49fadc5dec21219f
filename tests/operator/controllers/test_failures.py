"""A failure with one object is reported and does not delay the others. The server is a fake."""

import asyncio
import copy
from typing import Any

import pytest
from tests.operator.client.test_cached_client import SERVICES, SOLVERS, Operator
from tests.operator.support import NOON, solver

from mcq_operator import desired
from mcq_operator.api import names
from mcq_operator.api.kinds import CONFIG_MAP
from mcq_operator.api.observed import ObservedExam
from mcq_operator.client import ConflictError, RefusedError, UnavailableError, apply
from mcq_operator.client.errors import NoAnswerError
from mcq_operator.controllers import Outcome, dispatch
from mcq_operator.controllers.exam import requeue_after

WEBHOOK = UnavailableError('500: Internal error occurred: failed calling webhook "no.example.com"')
DEPLOYMENTS = "/apis/apps/v1/namespaces/team/deployments/demo"
ACCOUNTS = "/api/v1/namespaces/team/serviceaccounts/demo"
BUDGETS = "/apis/policy/v1/namespaces/team/poddisruptionbudgets/demo"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/team/ingresses/demo"
INGRESS_LISTS = (INGRESSES.removesuffix("/demo"), "/apis/networking.k8s.io/v1/ingresses")
RETRY_SECONDS = 30
INGRESS = {"enabled": True, "className": "traefik", "host": "a.example.com"}


@pytest.fixture
async def operator() -> Operator:
    operator = Operator()
    await operator.relist()
    return operator


def set_spec(operator: Operator, spec: dict[str, Any]) -> None:
    """Change the solver's spec, as a user does."""
    operator.server.put(SOLVERS, {**operator.server.objects[SOLVERS], "spec": spec})


def inventory(operator: Operator) -> set[str]:
    return {item["kind"] for item in operator.server.objects[SOLVERS]["status"]["inventory"]}


@pytest.mark.parametrize("path", [ACCOUNTS, SERVICES, DEPLOYMENTS, BUDGETS])
@pytest.mark.parametrize(
    "error",
    [
        WEBHOOK,
        ConflictError("admission webhook denied the request"),
        UnavailableError("429: too many requests"),
        UnavailableError("504: request did not complete within requested timeout"),
        KeyError("metadata"),
    ],
    ids=["webhook", "conflict", "busy", "slow", "unexpected"],
)
async def test_an_object_that_can_not_be_applied_is_reported_and_the_others_are_applied(
    operator: Operator, path: str, error: Exception
) -> None:
    operator.server.failing["post", path] = error
    result = await operator.result()
    assert str(result.error).startswith("could not apply ")
    assert {ACCOUNTS, SERVICES, DEPLOYMENTS, BUDGETS} - {path} <= operator.server.objects.keys()
    for condition in "Ready", "Degraded":
        assert operator.condition(condition)["reason"] == "ApplyFailed"
        assert str(error).strip("'") in operator.condition(condition)["message"]
    assert operator.condition("Ready")["status"] == "False"

    operator.server.failing.clear()
    result = await operator.result()
    assert result.error is None
    assert path in operator.server.objects
    assert operator.condition("Degraded")["status"] == "False"


async def test_an_unexpected_failure_with_an_object_is_logged_with_its_traceback(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    operator.server.failing["post", SERVICES] = KeyError("metadata")
    await operator.result()
    assert "Traceback" in caplog.text
    assert "This is a bug in the operator" in operator.condition("Degraded")["message"]


async def test_a_hanging_write_does_not_delay_the_others(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "PATIENCE_SECONDS", 0.01)
    operator.server.hanging.add(("post", SERVICES))
    reconcile = asyncio.create_task(operator.result())
    async with asyncio.timeout(10):
        while not {ACCOUNTS, DEPLOYMENTS, BUDGETS} <= operator.server.objects.keys():
            await asyncio.sleep(0.01)
    assert not reconcile.done()
    operator.server.released.set()
    assert (await reconcile).error is None
    assert SERVICES in operator.server.objects


async def test_a_dependent_object_waits_for_a_hanging_write(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object may be foreign."""
    monkeypatch.setattr(apply, "PATIENCE_SECONDS", 0.01)
    operator.server.hanging.add(("post", ACCOUNTS))
    reconcile = asyncio.create_task(operator.result())
    async with asyncio.timeout(10):
        while not {SERVICES, BUDGETS} <= operator.server.objects.keys():
            await asyncio.sleep(0.01)
    assert DEPLOYMENTS not in operator.server.objects
    operator.server.released.set()
    assert (await reconcile).error is None
    assert DEPLOYMENTS in operator.server.objects


async def test_an_object_that_can_not_be_deleted_is_reported_and_stays_in_the_inventory(
    operator: Operator,
) -> None:
    set_spec(operator, {"ingress": INGRESS})
    await operator.relist()
    await operator.result()
    set_spec(operator, {"replicas": 2})
    await operator.relist()
    operator.server.failing["delete", INGRESSES] = WEBHOOK
    result = await operator.result()
    assert str(result.error) == "could not delete Ingress demo"
    assert operator.condition("Degraded")["reason"] == "DeleteFailed"
    assert operator.server.objects[DEPLOYMENTS]["spec"]["replicas"] == 2
    assert {"Ingress", "Deployment"} <= inventory(operator)


@pytest.mark.parametrize("is_desired", [True, False])
async def test_an_unreadable_object_is_reported_and_unchanged(operator: Operator, is_desired: bool) -> None:
    """For example, the kind's conversion webhook is gone. The operator restarts, so its store is empty."""
    set_spec(operator, {"ingress": INGRESS})
    await operator.relist()
    await operator.result()
    before = operator.server.objects[INGRESSES]
    set_spec(operator, {"ingress": INGRESS, "replicas": 2} if is_desired else {"replicas": 2})
    restarted = Operator(operator.server)
    for path in INGRESSES, *INGRESS_LISTS:
        restarted.server.failing["get", path] = WEBHOOK
    await restarted.relist()
    result = await restarted.result()
    assert str(result.error) == "could not read Ingress demo"
    assert restarted.condition("Degraded")["reason"] == "ReadFailed"
    assert restarted.server.objects[INGRESSES] == before
    assert restarted.server.objects[DEPLOYMENTS]["spec"]["replicas"] == 2
    assert "Ingress" in inventory(restarted)

    restarted.server.failing.clear()
    assert (await restarted.result()).error is None
    assert (INGRESSES in restarted.server.objects) == is_desired


async def test_an_unreadable_deployment_leaves_the_replicas_unknown(operator: Operator) -> None:
    await operator.result()
    restarted = Operator(operator.server)
    for path in DEPLOYMENTS, "/apis/apps/v1/namespaces/team/deployments":
        restarted.server.failing["get", path] = WEBHOOK
    await restarted.relist()
    set_spec(restarted, {"replicas": 2})
    before = restarted.server.objects[SOLVERS]["status"]
    result = await restarted.result()
    assert result.error is not None
    after = restarted.server.objects[SOLVERS]["status"]
    assert restarted.condition("Ready")["status"] != "True"
    assert after["inventory"] == before["inventory"]


async def test_an_unexpected_failure_of_a_reconcile_is_reported_and_keeps_the_last_status(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.result()
    before = operator.server.objects[SOLVERS]["status"]
    monkeypatch.setattr(desired, "objects", lambda *_, **__: 1 // 0)
    result = await operator.result()
    assert result.outcome is Outcome.FAILED
    assert isinstance(result.error, ZeroDivisionError)
    assert operator.condition("Ready")["status"] == "Unknown"
    assert (
        operator.condition("Ready")["reason"] == operator.condition("Degraded")["reason"] == "ReconcileFailed"
    )
    assert "ZeroDivisionError: " in operator.condition("Degraded")["message"]
    after = operator.server.objects[SOLVERS]["status"]
    assert {**after, "conditions": []} == {**before, "conditions": []}
    assert {each["type"] for each in after["conditions"]} == {each["type"] for each in before["conditions"]}

    monkeypatch.undo()
    assert (await operator.result()).error is None
    assert operator.condition("Degraded")["status"] == "False"


async def test_the_queue_gets_a_failure_that_the_status_can_not_record(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desired, "objects", lambda *_, **__: 1 // 0)
    operator.server.failing["patch", f"{SOLVERS}/status"] = RefusedError("no")
    with pytest.raises(ZeroDivisionError):
        await operator.result()


async def test_an_unreachable_api_server_ends_the_reconcile(operator: Operator) -> None:
    operator.server.failing["post", ACCOUNTS] = NoAnswerError("can't reach the API server")
    operator.server.requests.clear()
    with pytest.raises(NoAnswerError):
        await operator.result()
    assert [path for method, path in operator.server.requests if method == "post"] == [ACCOUNTS]


def test_each_kind_of_resource_has_a_condition_for_failed_reconciles() -> None:
    assert {key.KIND for key in dispatch.FAILING_CONDITION} == {"MCQSolver", "MCQExam"}


async def test_a_pod_that_pulls_its_image_after_a_late_scheduling_is_not_a_failure(
    operator: Operator,
) -> None:
    await operator.result()
    waiting = {"name": "service", "state": {"waiting": {"reason": "ContainerCreating"}}}
    operator.server.put(
        "/api/v1/namespaces/team/pods/demo-1",
        {
            "metadata": {"name": "demo-1", "namespace": "team", "labels": names.labels(solver())},
            "status": {"startTime": "2026-01-01T11:59:30Z", "containerStatuses": [waiting]},
        },
    )
    operator.server.put(
        "/apis/events.k8s.io/v1/namespaces/team/events/scheduling",
        {
            "metadata": {"name": "scheduling", "namespace": "team"},
            "type": "Warning",
            "reason": "FailedScheduling",
            "note": "0/3 nodes are available",
            "eventTime": "2026-01-01T11:59:00.000000Z",
        },
    )
    await operator.relist()
    await operator.result()
    assert operator.condition("Degraded")["reason"] == "AsExpected"


async def test_replicas_after_a_rollback_have_a_digest_of_their_own(operator: Operator) -> None:
    """Otherwise their exam's result would count for the replicas that failed."""
    set_spec(operator, {"rollout": {"autoRollback": True}})
    await operator.relist()
    await operator.result()
    failed = operator.server.objects[SOLVERS]["status"]["templateDigest"]
    earlier = copy.deepcopy(operator.server.objects[DEPLOYMENTS]["spec"]["template"])
    earlier["spec"]["containers"][0]["image"] = "mcq-service:earlier"
    operator.server.put(
        f"{DEPLOYMENTS.removesuffix('/deployments/demo')}/replicasets/demo-1",
        {
            "metadata": {"name": "demo-1", "namespace": "team", "labels": names.labels(solver())},
            "spec": {"template": earlier},
        },
    )
    rollback = {"generation": 2, "digest": failed, "replicaSet": "demo-1", "reason": "R", "message": ""}
    stored = operator.server.objects[SOLVERS]
    operator.server.put(SOLVERS, {**stored, "status": {**stored["status"], "rollback": rollback}})
    await operator.relist()
    await operator.result()
    assert operator.server.objects[DEPLOYMENTS]["spec"]["template"] == earlier
    assert operator.condition("Degraded")["reason"] == "RolledBack"
    digest = operator.server.objects[SOLVERS]["status"]["templateDigest"]
    assert digest not in {"", failed}
    await operator.result()
    assert operator.server.objects[SOLVERS]["status"]["templateDigest"] == digest


async def test_a_solver_looks_again_for_an_object_in_its_way(operator: Operator) -> None:
    """No watch shows objects without the operator's labels, so nothing reports their deletion."""
    operator.server.put(
        SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo", "namespace": "team"}}
    )
    result = await operator.result()
    assert operator.condition("Degraded")["reason"] == "Conflict"
    assert result.requeue_after == RETRY_SECONDS


def test_an_exam_looks_again_for_an_object_in_its_way() -> None:
    observed = ObservedExam(conflicts=[CONFIG_MAP.named("aqua-results")])
    assert requeue_after(observed, [], NOON) == RETRY_SECONDS
    assert requeue_after(ObservedExam(), [], NOON) is None
