"""Pods that hang before their containers are created, and Jobs that get no Pod: only Events say why."""

from collections.abc import Iterable
from datetime import datetime

from mcq_operator.models import Manifest

from .jobs import pods_of, running
from .pods import CREATING, present, waiting

SECONDS = 10.0
"""How long the creation of a container may take before it is asked what is the matter."""


def hanging(pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """A Pod whose containers should have been created by now."""
    return next((pod for pod in pods if _creating(pod) and _age(pod, now) >= SECONDS), None)


def childless(jobs: Iterable[Manifest], pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """A running Job that should have a Pod by now and has none."""
    there = [*pods]
    return next((job for job in jobs if _childless(job, there) and _age(job, now) >= SECONDS), None)


def expecting(jobs: Iterable[Manifest], pods: Iterable[Manifest]) -> bool:
    """Whether there is a running Job without a Pod."""
    there = [*pods]
    return any(_childless(job, there) for job in jobs)


def _childless(job: Manifest, pods: Iterable[Manifest]) -> bool:
    suspended = job["spec"].get("suspend", False)
    return running(job) and not suspended and not any(map(present, pods_of(job["metadata"]["name"], pods)))


def young(pods: Iterable[Manifest], *, now: datetime) -> bool:
    """Whether there is a Pod that may hang soon."""
    return any(_creating(pod) and _age(pod, now) < SECONDS for pod in pods)


def _creating(pod: Manifest) -> bool:
    return present(pod) and not waiting(pod).isdisjoint(CREATING)


def _age(made: Manifest, now: datetime) -> float:
    started = made.get("status", {}).get("startTime") or made["metadata"]["creationTimestamp"]
    return (now - datetime.fromisoformat(started)).total_seconds()
