"""Pods that hang before their containers are created, and Jobs without Pods. Only Events give the cause."""

from collections.abc import Iterable
from datetime import datetime

from mcq_operator.api import Manifest

from .jobs import pods_of, running
from .pods import CREATING, present, waiting

SECONDS = 10.0
"""How long the creation of a container may take before the operator looks for a warning Event."""


def hanging_pod(pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """Return a Pod with containers that are overdue."""
    return next((pod for pod in pods if _creating(pod) and _age(pod, now) >= SECONDS), None)


def podless_job(jobs: Iterable[Manifest], pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """Return a running Job with an overdue Pod."""
    known_pods = [*pods]
    return next((job for job in jobs if _is_podless(job, known_pods) and _age(job, now) >= SECONDS), None)


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
