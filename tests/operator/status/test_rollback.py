"""When the operator undoes a roll-out, and when it does not."""

from datetime import timedelta
from typing import Any

import pytest
from tests.operator.support import NOON, deployment, solver

from mcq_operator import status
from mcq_operator.api import Manifest, Rollback
from mcq_operator.api.observed import CanaryVerdict, Deployment, ObservedSolver

ANSWERED = CanaryVerdict(outcome="answered")

SPEC = {"rollout": {"autoRollback": True}}
ROLLING = deployment(replicas=4, updated=1)


def replica_set(revision: int, *, available: int) -> Manifest:
    return {
        "metadata": {
            "name": f"demo-{revision}",
            "labels": {"pod-template-hash": str(revision)},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {
            "template": {"metadata": {"labels": {"a": "b", "pod-template-hash": str(revision)}}, "spec": {}}
        },
        "status": {"availableReplicas": available},
    }


def pod(container: dict[str, Any], *, revision: int = 2, age: float = 0) -> Manifest:
    return {
        "metadata": {
            "name": "demo-x",
            "labels": {"pod-template-hash": str(revision)},
            "creationTimestamp": (NOON - timedelta(seconds=age)).isoformat(),
        },
        "status": {"containerStatuses": [{"name": "service", "ready": False, "state": {}, **container}]},
    }


def evicted(created: Manifest) -> Manifest:
    """Return the Pod after its eviction."""
    return {**created, "status": {**created["status"], "phase": "Failed", "reason": "Evicted"}}


def crashed(times: int) -> dict[str, Any]:
    return {"restartCount": times, "lastState": {"terminated": {"exitCode": 4, "message": "wrong digest"}}}


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": "no"}}}


def decide(
    *pods: Manifest, spec: dict[str, Any] | None = None, rollout: Deployment = ROLLING, old: int = 3
) -> Rollback | None:
    sets = [replica_set(1, available=old), replica_set(2, available=0)]
    observed = ObservedSolver(deployment=rollout, pods=list(pods), replica_sets=sets)
    return status.rollback.decide(solver(SPEC if spec is None else spec), observed, digest="new", now=NOON)


UNDONE = [
    (pod(crashed(3)), "DigestMismatch"),
    (pod(waiting("ImagePullBackOff"), age=61), "ImagePullBackOff"),
    (pod(waiting("InvalidImageName")), "InvalidImageName"),
]


@pytest.mark.parametrize(("failing", "reason"), UNDONE)
def test_replicas_that_can_not_start_undo_the_roll_out(failing: Manifest, reason: str) -> None:
    actual = decide(failing)
    assert actual is not None
    assert (actual.replica_set, actual.reason, actual.digest, actual.generation) == (
        "demo-1",
        reason,
        "new",
        2,
    )


def test_a_roll_out_past_its_deadline_is_undone() -> None:
    late = {"Progressing": {"reason": "ProgressDeadlineExceeded", "message": "timed out"}}
    actual = decide(rollout=deployment(replicas=4, updated=1, conditions=late))
    assert actual is not None
    assert actual.reason == "ProgressDeadlineExceeded"


GOES_ON = [
    pod(crashed(2)),
    pod(waiting("ImagePullBackOff"), age=30),
    pod(waiting("ContainerCreating"), age=900),
    pod(crashed(9), revision=1),
    evicted(pod(crashed(9))),
    evicted(pod(waiting("InvalidImageName"))),
]


@pytest.mark.parametrize("starting", GOES_ON)
def test_starting_older_and_evicted_replicas_undo_nothing(
    starting: Manifest,
) -> None:
    assert decide(starting) is None


def test_a_roll_out_is_undone_only_with_auto_rollback_and_available_replicas() -> None:
    assert decide(pod(crashed(3)), spec={}) is None
    assert decide(pod(crashed(3)), old=0) is None
    assert decide(pod(crashed(3)), rollout=deployment()) is None


@pytest.mark.parametrize("held", [False, True])
def test_failing_replicas_that_a_gate_or_an_upgrade_holds_are_not_the_specs(held: bool) -> None:
    """The spec's replicas never ran, so the status must not record that they failed."""
    sets = [replica_set(1, available=3), replica_set(2, available=0)]
    reported = status.of(
        solver(SPEC),
        observed=ObservedSolver(deployment=ROLLING, pods=[pod(crashed(3))], replica_sets=sets),
        verdict=CanaryVerdict(outcome="pending"),
        inventory=[],
        replicas_digest="spec",
        template_digest="held" if held else "spec",
        held=held,
        now=NOON,
    )
    assert (reported.rollback is None) == held


def test_the_earlier_template_loses_its_revision_label() -> None:
    assert status.rollback.template(replica_set(1, available=3)) == {
        "metadata": {"labels": {"a": "b"}},
        "spec": {},
    }


def test_every_affected_condition_reports_an_undone_roll_out() -> None:
    known = solver(
        SPEC,
        status={
            "rollback": {
                "generation": 2,
                "digest": "new",
                "replicaSet": "demo-1",
                "reason": "DigestMismatch",
                "message": "Pod demo-x crashed.",
            }
        },
    )
    actual = status.of(
        known,
        observed=ObservedSolver(deployment=deployment()),
        verdict=status.recorded_verdict(known, ANSWERED),
        inventory=[],
        replicas_digest="new",
        template_digest="new",
        now=NOON,
    )
    conditions = {item.type: item for item in actual.conditions}
    assert (conditions["Ready"].status, conditions["Ready"].reason) == ("False", "RolledBack")
    assert (conditions["Degraded"].status, conditions["Degraded"].reason) == ("True", "RolledBack")
    assert "DigestMismatch: Pod demo-x crashed." in conditions["Degraded"].message
    assert conditions["ModelLoaded"].status == "True"
    assert actual.rollback == known.status.rollback


@pytest.mark.parametrize(
    ("pods", "rollout", "reads"),
    [
        ([pod({})], ROLLING, False),
        ([pod(waiting("ContainerCreating"))], ROLLING, False),
        ([pod({}), pod(crashed(1))], ROLLING, True),
        ([pod(waiting("ImagePullBackOff"))], ROLLING, True),
        ([pod(crashed(1))], deployment(), False),
        ([], deployment(updated=1, conditions={"Progressing": {"reason": "ProgressDeadlineExceeded"}}), True),
    ],
)
def test_revisions_are_only_read_if_something_is_wrong(
    pods: list[Manifest], rollout: Deployment, reads: bool
) -> None:
    """A roll-out that goes well costs the API server nothing."""
    assert status.rollback.needs_replica_sets(solver(SPEC), rollout, pods) is reads
