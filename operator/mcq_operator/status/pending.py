"""Pods that hang before their containers are created, and Jobs without Pods. Only Events give the cause."""

from collections.abc import Iterable
from datetime import datetime

from mcq_operator.api import Manifest

from .jobs import pods_of, running
from .pods import CREATING, present, waiting

SECONDS = 10.0
"""How long the creation of a container may take before the operator looks for a warning Event."""
PROGRESS = frozenset({"Pulling", "Pulled", "Created", "Started", "SuccessfulCreate"})
"""Reasons of Events after which earlier problems are over: a Pod has its volumes and network, or a Job got a Pod."""


def hanging_pod(pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """Return a Pod with containers that are overdue."""
    return next((pod for pod in pods if _creating(pod) and _age(pod, now) >= SECONDS), None)


def podless_job(jobs: Iterable[Manifest], pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """Return a running Job with an overdue Pod."""
    known_pods = [*pods]
    return next((job for job in jobs if _is_podless(job, known_pods) and _age(job, now) >= SECONDS), None)


def current_warning(about: Manifest, events: Iterable[Manifest]) -> Manifest | None:
    """Return the last warning Event about a hanging Pod or a Job without a Pod; None if its problem is over.

    The server keeps Events for an hour, even if their problem is over. Events may be lost, so the Pod's start on its
    node ends the problems before it, too.
    """
    known = [*events]
    progress = [_last_observed(event) for event in known if event["reason"] in PROGRESS]
    if started := about.get("status", {}).get("startTime"):
        progress.append(datetime.fromisoformat(started))
    warnings = [
        event
        for event in known
        # A hanging Pod has a node.
        if event.get("type") == "Warning" and event["reason"] != "FailedScheduling"
        # Kubelets' times are whole seconds.
        if all(_last_observed(event) >= time for time in progress)
    ]
    return max(warnings, key=_last_observed, default=None)


def _last_observed(event: Manifest) -> datetime:
    """Return the time of an Event, or of its last repetition. Only reporters of the newer API set eventTime."""
    repeated = (event.get("series") or {}).get("lastObservedTime")
    last = repeated or event.get("deprecatedLastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(last or event["metadata"]["creationTimestamp"])


def has_podless_job(jobs: Iterable[Manifest], pods: Iterable[Manifest]) -> bool:
    """Return whether there is a running Job without a Pod."""
    known_pods = [*pods]
    return any(_is_podless(job, known_pods) for job in jobs)


def _is_podless(job: Manifest, pods: Iterable[Manifest]) -> bool:
    suspended = job["spec"].get("suspend", False)
    return running(job) and not suspended and not any(map(present, pods_of(job["metadata"]["name"], pods)))


def has_new_pod(pods: Iterable[Manifest], *, now: datetime) -> bool:
    """Return whether there is a Pod that may start to hang soon."""
    return any(_creating(pod) and _age(pod, now) < SECONDS for pod in pods)


def _creating(pod: Manifest) -> bool:
    return present(pod) and not waiting(pod).isdisjoint(CREATING)


def _age(manifest: Manifest, now: datetime) -> float:
    started = manifest.get("status", {}).get("startTime") or manifest["metadata"]["creationTimestamp"]
    return (now - datetime.fromisoformat(started)).total_seconds()
