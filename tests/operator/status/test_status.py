"""Status is arithmetic: each row has an observation of the cluster and the conditions that follow."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.operator.support import IMAGES, NOON, deployment, exam, pod, solver

from mcq_operator import desired, status
from mcq_operator.api import Condition, MCQExam, MCQSolver, ObjectRef, ResourceStatus, SolverStatus
from mcq_operator.api.observed import CanaryVerdict, Deployment, ObservedSolver, Refusal, Rival, WarningEvent

ANSWERED = CanaryVerdict(outcome="answered")
PENDING = CanaryVerdict(outcome="pending")
FAILED = CanaryVerdict(outcome="failed", detail="HTTP 503: warming up")
INGRESS = ObjectRef(api_version="networking.k8s.io/v1", kind="Ingress", name="demo")


def status_of(
    observed: ObservedSolver, verdict: CanaryVerdict = ANSWERED, spec: dict[str, Any] | None = None
) -> SolverStatus:
    return of(solver(spec), observed=observed, verdict=verdict)


def of(
    solver: MCQSolver,
    *,
    observed: ObservedSolver,
    verdict: CanaryVerdict = ANSWERED,
    inventory: Sequence[ObjectRef] = (),
    now: datetime = NOON,
    exams: Sequence[MCQExam] = (),
) -> SolverStatus:
    return status.of(
        solver,
        observed=observed,
        verdict=verdict,
        inventory=inventory,
        replicas_digest="new",
        template_digest="new",
        asks_for_key=desired.asks_for_key(desired.plain_template(solver, images=IMAGES)),
        now=now,
        exams=exams,
    )


def condition(actual: ResourceStatus, kind: str) -> Condition:
    return next(item for item in actual.conditions if item.type == kind)


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return pod(
        containerStatuses=[
            {"name": "service", "state": {"waiting": {"reason": reason, "message": message}}, **more}
        ]
    )


ROLLOUTS: list[tuple[Deployment | None, CanaryVerdict, str, str, str]] = [
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


@pytest.mark.parametrize(("rollout", "verdict", "ready", "reason", "progressing"), ROLLOUTS)
def test_ready_is_true_only_when_all_is_current_available_and_answering(
    rollout: Deployment | None, verdict: CanaryVerdict, ready: str, reason: str, progressing: str
) -> None:
    actual = status_of(ObservedSolver(deployment=rollout), verdict)
    assert (condition(actual, "Ready").status, condition(actual, "Ready").reason) == (ready, reason)
    assert condition(actual, "Progressing").status == progressing
    assert actual.is_true("Ready") == (ready == "True")


def test_no_desired_replica_is_neither_ready_nor_a_failure() -> None:
    none = deployment(desired=0, replicas=0, updated=0, ready=0, available=0)
    actual = status_of(ObservedSolver(deployment=none), PENDING, {"replicas": 0})
    assert condition(actual, "Ready").reason == "ScaledToZero"
    assert condition(actual, "Ready").status == "False"
    assert "spec.replicas" in condition(actual, "Ready").message
    assert condition(actual, "Degraded").status == "False"
    assert condition(actual, "ModelLoaded").status == "Unknown"


def test_the_status_names_another_servers_model_and_address() -> None:
    """The replicas have no model of their own."""
    openai = {"endpoint": "http://vllm:8000/v1"}
    spec = {"engine": {"type": "OpenAI", "openai": openai}}
    actual = status_of(ObservedSolver(deployment=deployment(ready=0, available=0)), PENDING, spec)
    assert actual.model
    assert actual.model.uri == "http://vllm:8000/v1"
    message = condition(actual, "ModelLoaded").message
    assert "No replica has reached the model at http://vllm:8000/v1 yet" in message
    assert "converts" not in message
    named = status_of(
        ObservedSolver(), PENDING, {"engine": {"type": "OpenAI", "openai": {**openai, "model": "qwen"}}}
    )
    assert named.model
    assert named.model.uri == "qwen"


def test_a_stalled_rollout_does_not_progress() -> None:
    stalled = deployment(available=1, conditions={"Progressing": {"reason": "ProgressDeadlineExceeded"}})
    actual = condition(status_of(ObservedSolver(deployment=stalled)), "Progressing")
    assert (actual.status, actual.reason) == ("False", "ProgressDeadlineExceeded")
    assert "kubectl describe pods -n team" in actual.message


def crashed(code: int, message: str) -> dict[str, Any]:
    return {"lastState": {"terminated": {"exitCode": code, "message": message}}}


def refused_pods(message: str) -> Deployment:
    return deployment(conditions={"ReplicaFailure": {"status": "True", "message": message}})


def unready_pod(*, since: str, unready_since: str) -> dict[str, Any]:
    """Return a running Pod that is not ready."""
    return {
        "metadata": {"name": "demo-1", "labels": {}},
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": unready_since}],
            "containerStatuses": [{"name": "service", "state": {"running": {"startedAt": since}}}],
        },
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
    (ObservedSolver(conflicts=[INGRESS]), "Conflict", "Ingress demo"),
    (
        ObservedSolver(refused=[Refusal(ref=INGRESS, message="spec.rules[0].host: bad")]),
        "ApplyRefused",
        "spec.rules[0].host: bad.",
    ),
    (
        ObservedSolver(deployment=refused_pods("exceeded quota: small")),
        "QuotaExceeded",
        "exceeded quota: small.",
    ),
    (
        ObservedSolver(deployment=refused_pods('violates PodSecurity "restricted:latest"')),
        "PodSecurity",
        "level",
    ),
    (ObservedSolver(deployment=refused_pods("webhook says no")), "ReplicaFailure", "webhook says no."),
    (
        ObservedSolver(
            warning=WarningEvent(
                kind="Pod", name="demo-1", reason="FailedMount", message='secret "x" not found'
            )
        ),
        "FailedMount",
        'secret "x" not found.',
    ),
    (
        ObservedSolver(rivals=[Rival(ref="Ingress edge/other", route="a.b/", elsewhere=True)]),
        "HostConflict",
        "Ingress edge/other already takes the requests of a.b/ from another namespace",
    ),
    (ObservedSolver(pods=[UNSCHEDULABLE]), "Unschedulable", "1 Insufficient cpu."),
    (
        ObservedSolver(pods=[waiting("ImagePullBackOff", 'Back-off pulling image "nope"')]),
        "ImagePullBackOff",
        "spec.image",
    ),
    (
        ObservedSolver(pods=[waiting("CreateContainerConfigError", "configmap not found")]),
        "CreateContainerConfigError",
        "configmap not found.",
    ),
    (
        ObservedSolver(pods=[waiting("CrashLoopBackOff", **crashed(1, "Traceback\nValueError: no"))]),
        "Crashing",
        "ValueError: no.",
    ),
    (
        ObservedSolver(pods=[waiting("CrashLoopBackOff", **crashed(4, "the digest differs"))]),
        "DigestMismatch",
        "the digest differs.",
    ),
    (
        ObservedSolver(pods=[waiting("CrashLoopBackOff", **crashed(8, "no such model"))]),
        "ModelNotFound",
        "no such",
    ),
    (
        ObservedSolver(pods=[waiting("CrashLoopBackOff", **crashed(9, "403 Forbidden"))]),
        "AccessDenied",
        "403 Forb",
    ),
    (
        ObservedSolver(
            pods=[pod(containerStatuses=[{"name": "service", "state": {}, **crashed(1, "first")}])]
        ),
        "Crashing",
        "first.",
    ),
    (
        ObservedSolver(
            pods=[unready_pod(since="2026-01-01T12:00:00Z", unready_since="2026-01-01T12:09:00Z")]
        ),
        "ProbeFailing",
        "kubectl describe pod -n team demo-1",
    ),
    (
        ObservedSolver(pods=[waiting("CrashLoopBackOff", **OUT_OF_MEMORY)]),
        "OutOfMemory",
        "more than 8Gi of memory",
    ),
]


@pytest.mark.parametrize(("observed", "reason", "text"), FAILURES)
def test_each_failure_has_a_reason_and_says_what_to_do(
    observed: ObservedSolver, reason: str, text: str
) -> None:
    actual = status_of(observed)
    assert (condition(actual, "Degraded").status, condition(actual, "Degraded").reason) == ("True", reason)
    assert text in condition(actual, "Degraded").message
    assert (condition(actual, "Ready").status, condition(actual, "Ready").reason) == ("False", reason)


def test_a_failure_beside_complete_replicas_is_not_ready_either() -> None:
    actual = status_of(ObservedSolver(deployment=deployment(), conflicts=[INGRESS]))
    assert condition(actual, "Ready").status == "False"


def test_a_pod_under_deletion_is_not_a_failure() -> None:
    leaving = waiting("CrashLoopBackOff")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert condition(status_of(ObservedSolver(pods=[leaving])), "Degraded").status == "False"


def failed_pod(name: str, *, created: int, ended: int, **status: Any) -> dict[str, Any]:
    """Return a Pod that failed for good; it was created and ended at these seconds."""
    manifest = pod(
        name, **{"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory", **status}
    )
    manifest["metadata"]["creationTimestamp"] = at(created)
    manifest["status"]["conditions"][0]["lastTransitionTime"] = at(ended)
    return manifest


def starting_pod(name: str, *, created: int) -> dict[str, Any]:
    """Return a Pod that is not ready yet."""
    manifest = pod(name, phase="Running", containerStatuses=[{"name": "service", "state": {"running": {}}}])
    manifest["metadata"]["creationTimestamp"] = at(created)
    return manifest


def at(seconds: int) -> str:
    return (NOON + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


KILLED = {"state": {"terminated": {"exitCode": 137, "finishedAt": "2026-01-01T12:00:09Z"}}, "restartCount": 9}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="evicted before it started"),
        pytest.param({"containerStatuses": [{"name": "service", **KILLED}]}, id="killed"),
        pytest.param({"containerStatuses": [{"name": "service", **OUT_OF_MEMORY}]}, id="out of memory"),
        pytest.param(
            {
                "containerStatuses": [
                    {"name": "service", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                ]
            },
            id="waiting for its image",
        ),
        pytest.param({"reason": None, "phase": "Succeeded"}, id="done"),
        pytest.param({"reason": "UnexpectedAdmissionError"}, id="not admitted by its node"),
    ],
)
def test_a_pod_of_an_earlier_incident_is_not_a_failure(status: dict[str, Any]) -> None:
    """Kubernetes keeps it for a while: it is no failure beside complete replicas or in a later roll-out."""
    old = failed_pod("demo-old", created=0, ended=9, **status)
    complete = status_of(ObservedSolver(deployment=deployment(), pods=[old, pod("demo-2", ready=True)]))
    assert condition(complete, "Ready").status == "True"
    rolling = status_of(
        ObservedSolver(deployment=deployment(updated=1), pods=[old, starting_pod("demo-3", created=9000)])
    )
    assert condition(rolling, "Degraded").status == "False"
    assert condition(rolling, "Ready").reason == "RollingOut"


def test_a_single_lost_replica_is_not_a_failure() -> None:
    three = [failed_pod(f"demo-{number}", created=number, ended=100) for number in range(3)]
    new = [starting_pod(f"demo-{number}", created=101) for number in range(3, 6)]
    actual = status_of(ObservedSolver(deployment=deployment(ready=0, available=0), pods=[*three, *new]))
    assert condition(actual, "Degraded").status == "False"


def test_repeated_losses_of_a_replica_are_a_failure_until_one_is_ready() -> None:
    pods = [
        failed_pod("demo-1", created=0, ended=90),
        failed_pod("demo-2", created=91, ended=180),
        starting_pod("demo-3", created=182),
    ]
    actual = status_of(ObservedSolver(deployment=deployment(ready=2, available=2), pods=pods))
    assert condition(actual, "Degraded").reason == "Evicted"
    assert "Pod demo-2 failed, like the one before it: The node was low on memory." in (
        condition(actual, "Ready").message
    )
    pods[2] = {**pod("demo-3", ready=True), "metadata": pods[2]["metadata"]}
    actual = status_of(ObservedSolver(deployment=deployment(), pods=pods))
    assert condition(actual, "Ready").status == "True"


def test_a_starting_container_is_not_a_failure() -> None:
    assert (
        condition(status_of(ObservedSolver(pods=[waiting("ContainerCreating")])), "Degraded").status
        == "False"
    )


def test_a_container_that_just_started_is_not_a_failure() -> None:
    """Its startup probe has succeeded, its readiness probe not yet."""
    starting = unready_pod(since="2026-01-01T12:00:00Z", unready_since="2026-01-01T11:59:58Z")
    assert condition(status_of(ObservedSolver(pods=[starting])), "Degraded").status == "False"


def pod_with_two_containers(other: dict[str, Any], *, init: bool = False) -> dict[str, Any]:
    """Return a Pod with our ready container and a container that another tool added."""
    ours = {"name": "service", "ready": True, "state": {"running": {"startedAt": "2026-01-01T11:00:00Z"}}}
    if init:
        return pod(initContainerStatuses=[other], containerStatuses=[ours])
    return pod(containerStatuses=[other, ours])


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(
    ("container", "reason", "text"),
    [
        (crashed(2, "bad flag"), "Crashing", "crashed, exit code 2: bad flag."),
        (OUT_OF_MEMORY, "OutOfMemory", "was killed for using more memory than its limit"),
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no proxy:1"}}},
            "ImagePullBackOff",
            "no proxy:1. Correct the image in the tool that added the container",
        ),
    ],
)
def test_a_foreign_container_is_named_and_ignores_our_fields_and_exit_codes(
    container: dict[str, Any], reason: str, text: str, init: bool
) -> None:
    actual = condition(
        status_of(ObservedSolver(pods=[pod_with_two_containers({"name": "proxy", **container}, init=init)])),
        "Degraded",
    )
    assert actual.reason == reason
    assert actual.message.startswith("Container proxy, which the operator did not add, of Pod demo-1 ")
    assert text in actual.message
    assert "spec." not in actual.message


def test_a_recovered_container_is_not_a_failure() -> None:
    healed = {"name": "service", "ready": True, "state": {"running": {}}, **crashed(1, "once")}
    assert (
        condition(status_of(ObservedSolver(pods=[pod(containerStatuses=[healed])])), "Degraded").status
        == "False"
    )


def test_long_quotes_keep_their_end() -> None:
    crash: dict[str, Any] = {
        "lastState": {"terminated": {"exitCode": 1, "message": "x" * 5000 + " the error"}}
    }
    message = condition(
        status_of(ObservedSolver(pods=[waiting("CrashLoopBackOff", **crash)])), "Degraded"
    ).message
    assert "the error." in message
    assert len(message) < 1500


def test_a_failed_canary_is_degraded_and_quoted() -> None:
    actual = status_of(ObservedSolver(deployment=deployment()), FAILED)
    assert condition(actual, "Degraded").reason == "CanaryFailed"
    assert "HTTP 503: warming up" in condition(actual, "Ready").message


UPDATING = {"updated": 1, "replicas": 4, "available": 3}


@pytest.mark.parametrize(
    ("observed", "verdict", "before", "state", "reason"),
    [
        (ObservedSolver(), PENDING, "", "False", "NoReplica"),
        (ObservedSolver(deployment=deployment(available=0)), PENDING, "True", "False", "NoReplica"),
        (ObservedSolver(deployment=deployment()), PENDING, "", "Unknown", "CanaryPending"),
        (ObservedSolver(deployment=deployment()), ANSWERED, "", "True", "Answering"),
        (ObservedSolver(deployment=deployment()), FAILED, "True", "False", "CanaryFailed"),
        # In a roll-out, with a lost replica or with a refused child, clients still get answers.
        (ObservedSolver(deployment=deployment(**UPDATING)), PENDING, "True", "True", "Answering"),
        (ObservedSolver(deployment=deployment(available=1)), PENDING, "True", "True", "Answering"),
        (
            ObservedSolver(deployment=deployment(), refused=[Refusal(ref=INGRESS, message="denied")]),
            ANSWERED,
            "True",
            "True",
            "Answering",
        ),
    ],
)
def test_available_says_whether_clients_are_answered(
    observed: ObservedSolver, verdict: CanaryVerdict, before: str, state: str, reason: str
) -> None:
    """Other differences from the spec change only Ready."""
    stored = {"type": "Available", "status": before, "reason": "Answering", "message": ""}
    known = solver(status={"conditions": [stored]} if before else None)
    actual = condition(of(known, observed=observed, verdict=verdict), "Available")
    assert (actual.status, actual.reason) == (state, reason)


def test_a_step_of_an_autoscaler_leaves_ready_true() -> None:
    scaled = {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 9}}
    more = deployment(desired=5, replicas=4, updated=4, available=3)
    scaler = {
        "kind": "HorizontalPodAutoscaler",
        "status": {
            "conditions": [{"type": kind, "status": "True"} for kind in ("AbleToScale", "ScalingActive")]
        },
    }
    actual = status_of(ObservedSolver(deployment=more, scaler=scaler), spec=scaled)
    assert condition(actual, "Ready").status == "True"
    fewer = deployment(desired=5, replicas=4, updated=4, available=1)
    assert (
        condition(status_of(ObservedSolver(deployment=fewer, scaler=scaler), spec=scaled), "Ready").status
        == "False"
    )
    assert condition(status_of(ObservedSolver(deployment=more)), "Ready").status == "False"


@pytest.mark.parametrize(
    ("pods", "stored", "shown"),
    [
        ([], None, "hf://new/model"),
        ([], "hf://old/model", "hf://old/model"),
        (["hf://old/model"] * 3, "hf://old/model", "hf://old/model"),
        # During a roll-out both models answer: show the new one.
        (["hf://old/model", "hf://new/model"], "hf://new/model", "hf://new/model"),
        # Only the old replicas answer while the first new one loads.
        (["hf://old/model"] * 3, "hf://new/model", "hf://old/model"),
    ],
)
def test_the_status_shows_the_model_that_answers(pods: list[str], stored: str | None, shown: str) -> None:
    """The model differs from the spec's after a refused change, and after a rollback."""
    replicas = [pod(f"demo-{number}", ready=True) for number, _ in enumerate(pods)]
    for replica, model in zip(replicas, pods, strict=True):
        replica["metadata"]["annotations"] = {"mcq-operator.dev/model": model}
    actual = status.of(
        solver({"model": {"uri": "hf://new/model"}}),
        observed=ObservedSolver(deployment=deployment(), pods=replicas),
        verdict=ANSWERED,
        inventory=[],
        replicas_digest="",
        template_digest="",
        model=stored,
        now=NOON,
    )
    assert actual.model is not None
    assert actual.model.uri == shown
    loaded = condition(actual, "ModelLoaded").message
    assert loaded.startswith(f"{shown} is loaded")
    assert ("hf://new/model, which does not answer yet" in loaded) == (shown != "hf://new/model")


def test_the_model_is_loaded_when_a_replica_is_ready() -> None:
    loading = status_of(ObservedSolver(deployment=deployment(ready=0, available=0)))
    assert condition(loading, "ModelLoaded").status == "False"
    assert "kubectl logs" in condition(loading, "ModelLoaded").message
    assert condition(status_of(ObservedSolver(deployment=deployment())), "ModelLoaded").status == "True"


def test_every_condition_is_about_the_observed_generation() -> None:
    actual = status_of(ObservedSolver(deployment=deployment()))
    assert actual.observed_generation == 2
    assert {item.type for item in actual.conditions} == {
        "Available",
        "Ready",
        "Progressing",
        "Degraded",
        "ModelLoaded",
        "ScalingReady",
        "MonitoringReady",
        "Exposed",
    }
    assert {item.observed_generation for item in actual.conditions} == {2}
    assert all(item.reason and item.message for item in actual.conditions)


def test_the_transition_time_moves_only_when_the_status_does() -> None:
    first = status_of(ObservedSolver(deployment=None), PENDING)
    known = solver(status=first.model_dump(by_alias=True))
    later = NOON + timedelta(minutes=5)

    def status_after(rollout: Deployment) -> SolverStatus:
        return of(known, observed=ObservedSolver(deployment=rollout), now=later)

    starting = status_after(deployment(available=1))
    assert condition(starting, "Ready").reason != condition(first, "Ready").reason
    assert condition(starting, "Ready").last_transition_time == "2026-01-01T12:00:00Z"
    assert condition(status_after(deployment()), "Ready").last_transition_time == "2026-01-01T12:05:00Z"


def test_an_unchanged_observation_is_an_equal_status() -> None:
    first = status_of(ObservedSolver(deployment=deployment()))
    known = solver(status=first.model_dump(by_alias=True))
    again = of(known, observed=ObservedSolver(deployment=deployment()), now=NOON + timedelta(hours=1))
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
def test_the_status_shows_the_url_for_clients(ingress: dict[str, Any], url: str) -> None:
    assert status_of(ObservedSolver(), spec={"ingress": ingress}).url == url


def test_a_solver_stays_ready_over_a_restart_of_the_operator_until_its_spec_changes() -> None:
    ready = status_of(ObservedSolver(deployment=deployment())).model_dump(by_alias=True)
    assert status.recorded_verdict(solver(status=ready), PENDING).outcome == "answered"
    assert status.recorded_verdict(solver(status=ready), FAILED) == FAILED
    assert status.recorded_verdict(solver(status=ready, generation=3), PENDING) == PENDING
    assert status.recorded_verdict(solver(), PENDING) == PENDING


def test_an_unreadable_spec_is_reported_and_keeps_the_inventory() -> None:
    before = of(solver(), observed=ObservedSolver(deployment=deployment()), inventory=[INGRESS])
    known = solver(status=before.model_dump(by_alias=True), generation=3)
    actual = status.invalid(known, problem="spec.replicas: too many", condition="Ready", now=NOON)
    assert condition(actual, "Ready").reason == "InvalidSpec"
    assert "spec.replicas" in condition(actual, "Degraded").message
    assert actual.inventory == [INGRESS]
    assert condition(actual, "ModelLoaded").status == "True"


AUTOSCALED = {"autoscaling": {"enabled": True}}
KEDA = {"autoscaling": {"enabled": True, "provider": "KEDA", "prometheusAddress": "http://p:9090"}}


def scaler(kind: str, **conditions: str) -> ObservedSolver:
    """Return an observation of an autoscaler with these conditions."""
    status_conditions = [
        {"type": name, "status": state, "reason": "Why", "message": "so"}
        for name, state in conditions.items()
    ]
    return ObservedSolver(scaler={"kind": kind, "status": {"conditions": status_conditions}})


SCALING = [
    ({}, ObservedSolver(), "True", "Fixed"),
    (AUTOSCALED, ObservedSolver(), "False", "Creating"),
    (AUTOSCALED, scaler("HorizontalPodAutoscaler"), "Unknown", "Observing"),
    (
        AUTOSCALED,
        scaler("HorizontalPodAutoscaler", AbleToScale="True", ScalingActive="False"),
        "False",
        "Why",
    ),
    (
        AUTOSCALED,
        scaler("HorizontalPodAutoscaler", AbleToScale="True", ScalingActive="True"),
        "True",
        "Autoscaling",
    ),
    (KEDA, scaler("ScaledObject", Ready="False"), "False", "Why"),
    (KEDA, scaler("ScaledObject", Ready="True", Active="False"), "True", "Autoscaling"),
]


@pytest.mark.parametrize(("spec", "observed", "state", "reason"), SCALING)
def test_scaling_is_ready_when_the_spec_or_a_working_autoscaler_sets_the_replicas(
    spec: dict[str, Any], observed: ObservedSolver, state: str, reason: str
) -> None:
    actual = condition(status_of(observed, spec=spec), "ScalingReady")
    assert (actual.status, actual.reason) == (state, reason)


def test_a_missing_crd_is_reported_with_its_provider_and_is_not_a_failure() -> None:
    absent = [
        ObjectRef(api_version="keda.sh/v1alpha1", kind="ScaledObject", name="demo"),
        ObjectRef(api_version="monitoring.coreos.com/v1", kind="ServiceMonitor", name="demo"),
    ]
    spec = {**KEDA, "monitoring": {"serviceMonitor": {"enabled": True}}}
    actual = status_of(ObservedSolver(deployment=deployment(), absent=absent), spec=spec)
    for kind, provider in (("ScalingReady", "KEDA"), ("MonitoringReady", "prometheus-operator")):
        assert (condition(actual, kind).status, condition(actual, kind).reason) == (
            "False",
            "CRDNotInstalled",
        )
        assert f"install {provider}." in condition(actual, kind).message
    assert actual.is_true("Ready")


def test_a_route_that_can_not_be_applied_is_not_ready() -> None:
    """Its URL does not work."""
    absent = [ObjectRef(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute", name="demo")]
    actual = status_of(ObservedSolver(deployment=deployment(), absent=absent))
    assert (condition(actual, "Ready").status, condition(actual, "Ready").reason) == (
        "False",
        "CRDNotInstalled",
    )
    assert "install the Gateway API's CRDs" in condition(actual, "Degraded").message


def test_the_status_shows_a_starting_replicas_progress() -> None:
    observed = ObservedSolver(
        deployment=deployment(ready=0, available=0), starting="Pod demo-1: Fetching. 40 % done."
    )
    assert condition(status_of(observed), "ModelLoaded").message == "Pod demo-1: Fetching. 40 % done."


def creating_pod(*, for_seconds: float, **metadata: Any) -> dict[str, Any]:
    """Return a Pod with a container in creation."""
    started = (NOON - timedelta(seconds=for_seconds)).isoformat()
    waiting = {"name": "service", "state": {"waiting": {"reason": "ContainerCreating"}}}
    return {
        "metadata": {"name": "demo-1", **metadata},
        "status": {"startTime": started, "containerStatuses": [waiting]},
    }


def test_the_warning_of_a_pod_without_a_container_for_long_is_read() -> None:
    """The node gives the reason only in an Event."""
    hanging, young = creating_pod(for_seconds=11), creating_pod(for_seconds=9)
    leaving = creating_pod(for_seconds=99, deletionTimestamp="x")
    evicted = {**hanging, "status": {**hanging["status"], "phase": "Failed"}}
    assert status.pending.hanging_pod([young, leaving, evicted, hanging], now=NOON) is hanging
    assert status.pending.hanging_pod([young, leaving, evicted, pod()], now=NOON) is None
    assert status.pending.has_new_pod([young], now=NOON)
    assert not status.pending.has_new_pod([hanging, leaving, pod()], now=NOON)


def event(reason: str, *, kind: str = "Warning", age: float, **times: Any) -> dict[str, Any]:
    """Return an Event as kubelets and controllers report it."""
    last = (NOON - timedelta(seconds=age)).isoformat()
    return {"type": kind, "reason": reason, "note": reason, "deprecatedLastTimestamp": last, **times}


def scheduler_event(*, age: float, repeated: float | None = None) -> dict[str, Any]:
    """Return an Event as the scheduler reports it."""
    at = [NOON - timedelta(seconds=seconds) for seconds in (age, repeated or 0)]
    series = {"count": 2, "lastObservedTime": at[1].isoformat()} if repeated is not None else None
    return event(
        "FailedScheduling", age=0, deprecatedLastTimestamp=None, eventTime=at[0].isoformat(), series=series
    )


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], None),
        ([scheduler_event(age=40)], None),
        # The Pod started within the second of the scheduler's last attempt.
        ([scheduler_event(age=40, repeated=19.5)], None),
        ([event("Rejected", age=21)], None),
        ([event("FailedMount", age=20)], "FailedMount"),
        ([event("FailedMount", age=19), event("Pulling", kind="Normal", age=15)], None),
        ([event("Pulled", kind="Normal", age=19), event("FailedMount", age=15)], "FailedMount"),
        (
            [event("SuccessfulAttachVolume", kind="Normal", age=9), event("FailedMount", age=15)],
            "FailedMount",
        ),
        (
            [event("FailedCreatePodSandBox", age=5), event("FailedMount", age=15), scheduler_event(age=40)],
            "FailedCreatePodSandBox",
        ),
        (
            [
                event("FailedMount", age=15),
                event("Rejected", age=0, deprecatedLastTimestamp=None, eventTime=NOON.isoformat()),
            ],
            "Rejected",
        ),
    ],
)
def test_a_warning_counts_until_the_pod_makes_progress(
    events: list[dict[str, Any]], reason: str | None
) -> None:
    """The server keeps Events for an hour."""
    current = status.pending.current_warning(creating_pod(for_seconds=20), events)
    assert (current and current["reason"]) == reason


def test_an_exam_of_earlier_replicas_is_not_the_last_exam() -> None:
    """A scheduled exam keeps its result until its next sitting."""
    reported = {
        "accuracy": 0.75,
        "ci95": {"low": 0.7, "high": 0.8},
        "count": 100,
        "conditions": [
            {"type": "Complete", "status": "True", "reason": "Sat", "message": "", "lastTransitionTime": "x"}
        ],
    }
    taken = [
        exam(status={**reported, "sat": sat, "templateDigest": digest}, name=digest)
        for sat, digest in (("2026-01-01T00:00:00Z", "new"), ("2026-01-02T00:00:00Z", "old"))
    ]
    shown = [status.last_exam(taken, template_digest=digest) for digest in ("new", "old", "newest")]
    assert [each and each.name for each in shown] == ["new", "old", None]
    assert of(solver(), observed=ObservedSolver(deployment=deployment()), exams=taken).exam == shown[0]


INGRESS_SPEC = {"ingress": {"enabled": True, "host": "mcq.example.com"}}
GATEWAY_SPEC = {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}
KEYS = {"auth": {"apiKeysSecretRef": {"name": "clients"}}}


@pytest.mark.parametrize(
    ("spec", "state", "reason"),
    [
        ({}, "False", "NoWayIn"),
        (INGRESS_SPEC, "True", "NoKeysAndNoPolicy"),
        (GATEWAY_SPEC, "True", "NoKeysAndNoPolicy"),
        ({**INGRESS_SPEC, **KEYS}, "False", "APIKeysNeeded"),
        ({**INGRESS_SPEC, "networkPolicy": {"enabled": True, "allowedFrom": []}}, "False", "PeersRestricted"),
        # A policy without allowedFrom admits every peer.
        ({**INGRESS_SPEC, "networkPolicy": {"enabled": True}}, "True", "NoKeysAndNoPolicy"),
        ({**INGRESS_SPEC, "networkPolicy": {"allowedFrom": []}}, "True", "NoKeysAndNoPolicy"),
    ],
)
def test_a_route_with_neither_keys_nor_allowed_peers_is_reported(
    spec: dict[str, Any], state: str, reason: str
) -> None:
    actual = status_of(ObservedSolver(deployment=deployment()), spec=spec)
    [exposed] = [each for each in actual.conditions if each.type == "Exposed"]
    assert (exposed.status, exposed.reason) == (state, reason)
    assert actual.is_true("Available")


@pytest.mark.parametrize(
    ("held", "spec", "state", "reason"),
    [
        ({}, KEYS, "True", "NoKeysAndNoPolicy"),
        (KEYS, {}, "False", "APIKeysNeeded"),
        (KEYS, KEYS, "False", "APIKeysNeeded"),
    ],
)
def test_exposure_is_about_the_replicas_in_force(
    held: dict[str, Any], spec: dict[str, Any], state: str, reason: str
) -> None:
    """A gate, a rollback or an upgrade keeps replicas of an earlier spec."""
    template = desired.plain_template(solver(held), images=IMAGES)
    actual = status.of(
        solver({**INGRESS_SPEC, **spec}),
        observed=ObservedSolver(deployment=deployment()),
        verdict=ANSWERED,
        inventory=[],
        replicas_digest="new",
        template_digest="old",
        now=NOON,
        asks_for_key=desired.asks_for_key(template),
    )
    [exposed] = [each for each in actual.conditions if each.type == "Exposed"]
    assert (exposed.status, exposed.reason) == (state, reason)
    assert ("have not rolled out yet" in exposed.message) == (state == "True")


EXPOSED = {"type": "Exposed", "status": "True", "reason": "NoKeysAndNoPolicy", "message": ""}
NO_WAY_IN = {**EXPOSED, "status": "False", "reason": "NoWayIn"}
ASKED = {"type": "APIKeysReady", "status": "True", "reason": "Accepted", "message": ""}


@pytest.mark.parametrize(
    ("before", "progress", "state"),
    [
        ([EXPOSED], {"observed_generation": 3}, "True"),
        ([EXPOSED], {"updated": 1, "replicas": 4}, "True"),
        ([EXPOSED, ASKED], {"updated": 3, "replicas": 4}, "True"),
        ([EXPOSED, ASKED], {"available": 1}, "False"),
        ([EXPOSED, ASKED], {}, "False"),
        # Keys and the way in are new.
        ([NO_WAY_IN], {"updated": 1, "replicas": 4}, "True"),
        ([NO_WAY_IN, ASKED], {"updated": 1, "replicas": 4}, "False"),
        # The first replicas.
        ([], {"observed_generation": 0, "replicas": 0, "updated": 0}, "False"),
        ([], {"updated": 1, "replicas": 4}, "False"),
    ],
)
def test_a_solver_is_exposed_until_the_last_replica_that_asks_for_no_key_is_replaced(
    before: list[dict[str, Any]], progress: dict[str, Any], state: str
) -> None:
    known = solver({**INGRESS_SPEC, **KEYS}, status={"conditions": before})
    reported = of(known, observed=ObservedSolver(deployment=deployment(**progress)))
    assert condition(reported, "Exposed").status == state


OCI = {"uri": "oci://registry.example.com/qwen:v1"}


@pytest.mark.parametrize(
    ("applied", "volumes", "spec", "reason"),
    [
        (OCI, 0, OCI, "NoImageVolumes"),
        (OCI, 1, OCI, "AsExpected"),
        # A gate, a rollback or an upgrade keeps replicas of the other model.
        ({}, 0, OCI, "AsExpected"),
        (OCI, 0, {}, "NoImageVolumes"),
    ],
)
def test_a_dropped_image_volume_is_one_of_the_replicas_in_force(
    applied: dict[str, Any], volumes: int, spec: dict[str, Any], reason: str
) -> None:
    template = desired.template(solver({"model": applied}), images=IMAGES)
    live = deployment(annotations=template["metadata"]["annotations"], image_volumes=volumes)
    reported = status_of(ObservedSolver(deployment=live), spec={"model": spec})
    assert condition(reported, "Degraded").reason == reason
