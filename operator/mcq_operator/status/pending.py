"""Pods that hang before their containers are created: the reason is in no status, only in Events."""

from collections.abc import Iterable
from datetime import datetime

from mcq_operator.models import Manifest

from .pods import CREATING, present, waiting

SECONDS = 10.0
"""How long the creation of a container may take before it is asked what is the matter."""


def hanging(pods: Iterable[Manifest], *, now: datetime) -> Manifest | None:
    """A Pod whose containers should have been created by now."""
    return next((pod for pod in pods if _creating(pod) and _age(pod, now) >= SECONDS), None)


def young(pods: Iterable[Manifest], *, now: datetime) -> bool:
    """Whether there is a Pod that may hang soon."""
    return any(_creating(pod) and _age(pod, now) < SECONDS for pod in pods)


def _creating(pod: Manifest) -> bool:
    return present(pod) and not waiting(pod).isdisjoint(CREATING)


def _age(pod: Manifest, now: datetime) -> float:
    started = pod["status"].get("startTime") or pod["metadata"]["creationTimestamp"]
    return (now - datetime.fromisoformat(started)).total_seconds()
