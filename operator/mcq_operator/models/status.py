"""MCQSolver's status: what was observed, never what is hoped for."""

from typing import Literal

from pydantic import Field

from .base import Model


class Condition(Model):
    """One observed aspect, in the form of metav1.Condition."""

    type: str = Field(max_length=316)
    """The aspect."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: int = Field(0, ge=0)
    """The spec's generation that this is about."""
    last_transition_time: str = Field("", json_schema_extra={"format": "date-time"})
    """When status last changed."""
    reason: str = Field(max_length=1024)
    """One word for programs."""
    message: str = Field(max_length=32768)
    """A sentence for people: what is the case and what to do about it."""


class ObjectRef(Model):
    """An object that the operator made for a solver, in the solver's namespace."""

    api_version: str
    """The object's group and version."""
    kind: str
    """The object's kind."""
    name: str
    """The object's name."""


class ObservedModel(Model):
    """The model that replicas were told to load."""

    uri: str
    """The model's address."""


class Rollback(Model):
    """A roll-out that was undone."""

    generation: int = Field(ge=0)
    """The spec's generation whose replicas did not start."""
    digest: str
    """What tells those replicas from others: the spec is tried again once it means other ones."""
    replica_set: str
    """The ReplicaSet that was gone back to."""
    reason: str
    """Why the replicas did not start, in one word."""
    message: str = Field(max_length=32768)
    """Why the replicas did not start, for people."""


class SolverStatus(Model):
    """What was observed."""

    observed_generation: int = Field(0, ge=0)
    """The spec's generation that this status is about."""
    replicas: int = Field(0, ge=0)
    """Replicas that exist."""
    ready_replicas: int = Field(0, ge=0)
    """Replicas that can answer."""
    selector: str = ""
    """The replicas' label selector, for autoscalers."""
    url: str = ""
    """Where the solver is asked: through its Ingress, or inside the cluster without one."""
    model: ObservedModel | None = None
    """The model."""
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Ready, Progressing, Degraded, ModelLoaded, ScalingReady and MonitoringReady."""
    rollback: Rollback | None = None
    """The roll-out that was undone, while the spec that was is still asked for."""
    inventory: list[ObjectRef] = Field(
        default_factory=list,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["apiVersion", "kind", "name"],
        },
    )
    """The objects made for this solver; what is no longer wanted is deleted by this list."""
