"""Status is arithmetic: each row is a look at the cluster and the conditions it means."""

from datetime import timedelta
from typing import Any

import pytest
from tests.operator.support import NOON, deployment, pod, solver

from mcq_operator import status
from mcq_operator.models import Condition, ObjectRef, SolverStatus
from mcq_operator.models.observed import Deployment, Observed, Refusal, Verdict

ANSWERED = Verdict(outcome="answered")
PENDING = Verdict(outcome="pending")
FAILED = Verdict(outcome="failed", detail="HTTP 503: warming up")
INGRESS = ObjectRef(api_version="networking.k8s.io/v1", kind="Ingress", name="demo")


def told(observed: Observed, verdict: Verdict = ANSWERED, spec: dict[str, Any] | None = None) -> SolverStatus:
    return status.of(solver(spec), observed=observed, verdict=verdict, inventory=[], now=NOON)


def condition(found: SolverStatus, kind: str) -> Condition:
    return next(item for item in found.conditions if item.type == kind)


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return pod(
        containerStatuses=[
            {"name": "service", "state": {"waiting": {"reason": reason, "message": message}}, **more}
        ]
    )


ROLLOUTS: list[tuple[Deployment | None, Verdict, str, str, str]] = [
    # deployment, verdict, Ready's status and reason, Progressing's status
    (None, PENDING, "False", "Creating", "True"),
    (deployment(observed_generation=3), ANSWERED, "False", "Observing", "True"),
    (deployment(updated=1), ANSWERED, "False", "RollingOut", "True"),
    (deployment(replicas=4), ANSWERED, "False", "Replacing", "True"),
    (deployment(ready=2, available=2), ANSWERED, "False", "Starting", "True"),
    (deployment(replicas=2, updated=2, ready=2, available=2), ANSWERED, "False", "RollingOut", "True"),
    (deployment(), PENDING, "False", "CanaryPending", "False"),
    (deployment(), FAILED, "False", "CanaryFailed", "False"),
    (deployment(), ANSWERED, "True", "Answering", "False"),
]


@pytest.mark.parametrize(("seen", "verdict", "ready", "reason", "progressing"), ROLLOUTS)
def test_ready_is_true_only_when_all_is_current_available_and_answering(
    seen: Deployment | None, verdict: Verdict, ready: str, reason: str, progressing: str
) -> None:
    found = told(Observed(deployment=seen), verdict)
    assert (condition(found, "Ready").status, condition(found, "Ready").reason) == (ready, reason)
    assert condition(found, "Progressing").status == progressing
    assert status.is_ready(found) == (ready == "True")


def test_no_wanted_replica_is_said_and_is_neither_ready_nor_a_failure() -> None:
    none = deployment(wanted=0, replicas=0, updated=0, ready=0, available=0)
    found = told(Observed(deployment=none), PENDING, {"replicas": 0})
    assert condition(found, "Ready").reason == "ScaledToZero"
    assert condition(found, "Ready").status == "False"
    assert "spec.replicas" in condition(found, "Ready").message
    assert condition(found, "Degraded").status == "False"
    assert condition(found, "ModelLoaded").status == "Unknown"


def test_of_another_server_the_status_names_its_model_and_address() -> None:
    """There is no model of our own to speak of."""
    openai = {"endpoint": "http://vllm:8000/v1"}
    spec = {"engine": {"type": "OpenAI", "openai": openai}}
    found = told(Observed(deployment=deployment(ready=0, available=0)), PENDING, spec)
    assert found.model
    assert found.model.uri == "http://vllm:8000/v1"
    message = condition(found, "ModelLoaded").message
    assert "No replica has reached the model at http://vllm:8000/v1 yet" in message
    assert "converts" not in message
    named = told(Observed(), PENDING, {"engine": {"type": "OpenAI", "openai": {**openai, "model": "qwen"}}})
    assert named.model
    assert named.model.uri == "qwen"


def test_a_stalled_rollout_is_no_progress() -> None:
    stalled = deployment(available=1, conditions={"Progressing": {"reason": "ProgressDeadlineExceeded"}})
    found = condition(told(Observed(deployment=stalled)), "Progressing")
    assert (found.status, found.reason) == ("False", "ProgressDeadlineExceeded")
    assert "kubectl describe pods -n team" in found.message


CRASH: dict[str, Any] = {
    "lastState": {
        "terminated": {"exitCode": 1, "message": "Traceback\nDigestError: the weights' digest differs"}
    }
}
OUT_OF_MEMORY: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
UNSCHEDULABLE = pod(
    conditions=[
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu",
        }
    ]
)
FAILURES = [
    (Observed(conflicts=[INGRESS]), "Conflict", "Ingress demo"),
    (
        Observed(refused=[Refusal(ref=INGRESS, message="spec.rules[0].host: bad")]),
        "ApplyRefused",
        "spec.rules[0].host: bad.",
    ),
    (
        Observed(
            deployment=deployment(
                conditions={"ReplicaFailure": {"status": "True", "message": "exceeded quota: small"}}
            )
        ),
        "ReplicaFailure",
        "exceeded quota: small.",
    ),
    (Observed(pods=[UNSCHEDULABLE]), "Unschedulable", "1 Insufficient cpu."),
    (
        Observed(pods=[waiting("ImagePullBackOff", 'Back-off pulling image "nope"')]),
        "ImagePullBackOff",
        "spec.image",
    ),
    (
        Observed(pods=[waiting("CreateContainerConfigError", "configmap not found")]),
        "CreateContainerConfigError",
        "configmap not found.",
    ),
    (
        Observed(pods=[waiting("CrashLoopBackOff", **CRASH)]),
        "CrashLoopBackOff",
        "the weights' digest differs.",
    ),
    (
        Observed(pods=[waiting("CrashLoopBackOff", **OUT_OF_MEMORY)]),
        "OutOfMemory",
        "more than 8Gi of memory",
    ),
]


@pytest.mark.parametrize(("observed", "reason", "words"), FAILURES)
def test_each_failure_is_named_in_one_look_with_what_to_do(
    observed: Observed, reason: str, words: str
) -> None:
    found = told(observed)
    assert (condition(found, "Degraded").status, condition(found, "Degraded").reason) == ("True", reason)
    assert words in condition(found, "Degraded").message
    assert (condition(found, "Ready").status, condition(found, "Ready").reason) == ("False", reason)


def test_a_failure_beside_complete_replicas_is_not_ready_either() -> None:
    found = told(Observed(deployment=deployment(), conflicts=[INGRESS]))
    assert condition(found, "Ready").status == "False"


def test_a_pod_that_is_being_deleted_is_no_failure() -> None:
    leaving = waiting("CrashLoopBackOff")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert condition(told(Observed(pods=[leaving])), "Degraded").status == "False"


def test_a_starting_container_is_no_failure() -> None:
    assert condition(told(Observed(pods=[waiting("ContainerCreating")])), "Degraded").status == "False"


def test_long_words_of_others_are_cut_to_their_end() -> None:
    crash: dict[str, Any] = {
        "lastState": {"terminated": {"exitCode": 1, "message": "x" * 5000 + " the error"}}
    }
    message = condition(told(Observed(pods=[waiting("CrashLoopBackOff", **crash)])), "Degraded").message
    assert "the error." in message
    assert len(message) < 1500


def test_a_failed_canary_is_degraded_and_quoted() -> None:
    found = told(Observed(deployment=deployment()), FAILED)
    assert condition(found, "Degraded").reason == "CanaryFailed"
    assert "HTTP 503: warming up" in condition(found, "Ready").message


def test_the_model_is_loaded_when_a_replica_is_ready() -> None:
    loading = told(Observed(deployment=deployment(ready=0, available=0)))
    assert condition(loading, "ModelLoaded").status == "False"
    assert "kubectl logs" in condition(loading, "ModelLoaded").message
    assert condition(told(Observed(deployment=deployment())), "ModelLoaded").status == "True"


def test_every_condition_is_about_the_generation_that_was_looked_at() -> None:
    found = told(Observed(deployment=deployment()))
    assert found.observed_generation == 2
    assert {item.type for item in found.conditions} == {"Ready", "Progressing", "Degraded", "ModelLoaded"}
    assert {item.observed_generation for item in found.conditions} == {2}
    assert all(item.reason and item.message for item in found.conditions)


def test_the_transition_time_moves_only_when_the_status_does() -> None:
    first = told(Observed(deployment=None), PENDING)
    known = solver(status=first.model_dump(by_alias=True))
    later = NOON + timedelta(minutes=5)

    def look(seen: Deployment) -> SolverStatus:
        return status.of(known, observed=Observed(deployment=seen), verdict=ANSWERED, inventory=[], now=later)

    starting = look(deployment(available=1))
    assert condition(starting, "Ready").reason != condition(first, "Ready").reason
    assert condition(starting, "Ready").last_transition_time == "2026-01-01T12:00:00Z"
    assert condition(look(deployment()), "Ready").last_transition_time == "2026-01-01T12:05:00Z"


def test_an_unchanged_look_is_an_equal_status() -> None:
    first = told(Observed(deployment=deployment()))
    known = solver(status=first.model_dump(by_alias=True))
    again = status.of(
        known,
        observed=Observed(deployment=deployment()),
        verdict=ANSWERED,
        inventory=[],
        now=NOON + timedelta(hours=1),
    )
    assert again == known.status


@pytest.mark.parametrize(
    ("ingress", "url"),
    [
        ({}, "http://demo.team.svc"),
        ({"enabled": True, "host": "a.b"}, "http://a.b"),
        ({"enabled": True, "host": "a.b", "tlsSecretName": "t", "path": "/quiz/"}, "https://a.b/quiz"),
        ({"enabled": False, "host": "a.b"}, "http://demo.team.svc"),
    ],
)
def test_the_url_is_where_a_client_asks(ingress: dict[str, Any], url: str) -> None:
    assert told(Observed(), spec={"ingress": ingress}).url == url


def test_a_solver_stays_ready_over_a_restart_of_the_operator_until_its_spec_changes() -> None:
    ready = told(Observed(deployment=deployment())).model_dump(by_alias=True)
    assert status.canary_carried(solver(status=ready), PENDING).outcome == "answered"
    assert status.canary_carried(solver(status=ready), FAILED) == FAILED
    assert status.canary_carried(solver(status=ready, generation=3), PENDING) == PENDING
    assert status.canary_carried(solver(), PENDING) == PENDING


def test_a_spec_that_cannot_be_read_is_said_and_keeps_the_inventory() -> None:
    before = status.of(
        solver(), observed=Observed(deployment=deployment()), verdict=ANSWERED, inventory=[INGRESS], now=NOON
    )
    known = solver(status=before.model_dump(by_alias=True), generation=3)
    found = status.invalid(known, problem="spec.replicas: too many", now=NOON)
    assert condition(found, "Ready").reason == "InvalidSpec"
    assert "spec.replicas" in condition(found, "Degraded").message
    assert found.inventory == [INGRESS]
    assert condition(found, "ModelLoaded").status == "True"
