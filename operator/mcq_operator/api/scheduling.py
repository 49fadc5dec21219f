"""Where Pods may run: a solver's replicas, or the Pods of an exam or a backup."""

from typing import Annotated, Literal

from pydantic import Field

from .base import Model, ObjectName, PassThrough


class Toleration(Model):
    """A taint that the Pods tolerate, as in a Pod."""

    key: str | None = Field(None, max_length=316)
    """The taint's key; left out with operator Exists, every taint is tolerated."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Exists matches any value of the key."""
    value: str | None = Field(None, max_length=63)
    """The taint's value, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; left out, every effect is tolerated."""
    toleration_seconds: int | None = None
    """How long a NoExecute taint is tolerated, in seconds; left out, for ever."""


class TopologySpread(Model):
    """How evenly the Pods spread over the values of a node label; the operator adds the label selector."""

    topology_key: str = Field(min_length=1, max_length=316)
    """The node label to spread over, such as kubernetes.io/hostname or topology.kubernetes.io/zone."""
    max_skew: int = Field(1, ge=1)
    """The largest allowed difference in the number of Pods between two values of the label."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"
    """Whether a Pod that can't be placed evenly waits (DoNotSchedule) or is placed anyway (ScheduleAnyway)."""


class Scheduling(Model):
    """Where the Pods may run."""

    node_selector: dict[str, str] | None = None
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=64)] | None = None
    """Taints that the Pods tolerate."""
    affinity: PassThrough | None = None
    """Node and pod affinity, as in a Pod's spec.affinity."""
    topology_spread: (
        Annotated[
            list[TopologySpread],
            Field(
                max_length=16,
                json_schema_extra={
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
                },
            ),
        ]
        | None
    ) = None
    """How the Pods spread; left out, over nodes as far as possible. With an empty list they don't."""
    priority_class_name: ObjectName | None = None
    """The PriorityClass of the Pods."""
    runtime_class_name: ObjectName | None = None
    """The RuntimeClass of the Pods."""
