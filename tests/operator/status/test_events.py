"""Changed conditions are Events."""

from typing import Any, Literal

from tests.operator.support import NOON, deployment, solver

from mcq_operator import status
from mcq_operator.api import Manifest, SolverStatus
from mcq_operator.api.observed import CanaryVerdict, Deployment, ObservedSolver, Refusal
from mcq_operator.api.resource_status import ObjectRef

SERVICE = ObjectRef(api_version="v1", kind="Service", name="demo")


def status_and_events(
    before: SolverStatus | None, observed: ObservedSolver, answer: Literal["answered", "pending"] = "answered"
) -> tuple[SolverStatus, list[Manifest]]:
    known = solver(status=before.model_dump(by_alias=True) if before else None)
    after = status.of(
        known,
        observed=observed,
        verdict=CanaryVerdict(outcome=answer),
        inventory=[],
        replicas_digest="d",
        template_digest="d",
        now=NOON,
    )
    return after, status.events(known, after, now=NOON)


def observation(deployment: Deployment | None, **more: Any) -> ObservedSolver:
    return ObservedSolver(deployment=deployment, **more)


def test_a_starting_solver_emits_no_event() -> None:
    _, events = status_and_events(None, observation(None), "pending")
    assert events == []


def test_readiness_is_an_event_when_it_comes_and_when_it_goes() -> None:
    first, _ = status_and_events(None, observation(None), "pending")
    ready, events = status_and_events(first, observation(deployment()))
    assert [(event["type"], event["reason"]) for event in events] == [
        ("Normal", "Answering"),
        ("Normal", "Answering"),
        ("Normal", "Loaded"),
    ]
    assert events[0]["note"] == "Ready is True: All replicas are available and answer questions."
    assert events[0]["regarding"]["uid"] == solver().metadata.uid
    _, events = status_and_events(ready, observation(deployment(available=2)))
    assert [(event["type"], event["reason"]) for event in events] == [("Warning", "Starting")]


def test_no_event_is_emitted_twice() -> None:
    ready, _ = status_and_events(None, observation(deployment()))
    assert status_and_events(ready, observation(deployment()))[1] == []
    starting, _ = status_and_events(None, observation(deployment(available=1)))
    assert status_and_events(starting, observation(deployment(available=2)))[1] == []


def test_a_failure_is_an_event_at_once_and_again_when_it_changes() -> None:
    refused = observation(None, refused=[Refusal(ref=SERVICE, message="x" * 3000 + "é" * 3000)])
    first, events = status_and_events(None, refused)
    assert [(event["type"], event["reason"]) for event in events] == [("Warning", "ApplyRefused")]
    assert len(events[0]["note"].encode()) <= 1024
    assert status_and_events(first, refused)[1] == []
    _, events = status_and_events(first, observation(None, conflicts=[SERVICE]))
    assert [event["reason"] for event in events] == ["Conflict"]


def test_simultaneous_events_have_different_names() -> None:
    first, _ = status_and_events(None, observation(None), "pending")
    _, events = status_and_events(first, observation(deployment()))
    names = [event["metadata"]["name"] for event in events]
    assert len(set(names)) == len(names) == 3
