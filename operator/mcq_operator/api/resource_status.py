"""The status that all kinds share: observed facts, never expectations."""

from typing import Literal

from pydantic import Field

from .base import Model

LONGEST_REASON = 1024
LONGEST_MESSAGE = 32768
"""The limits of metav1.Condition, in characters."""


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
    reason: str = Field(max_length=LONGEST_REASON)
    """One word for programs."""
    message: str = Field(max_length=LONGEST_MESSAGE)
    """A message for people: the situation and what to do about it."""


class ObjectRef(Model):
    """An object that the operator created for a resource, in the resource's namespace."""

    api_version: str
    """The object's group and version."""
    kind: str
    """The object's kind."""
    name: str
    """The object's name."""


class ResourceStatus(Model):
    """The fields of every status."""

    observed_generation: int = Field(0, ge=0)
    """The spec's generation that this status is about."""
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """The observed aspects."""
    inventory: list[ObjectRef] = Field(
        default_factory=list,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["apiVersion", "kind", "name"],
        },
    )
    """The objects of this resource. The operator deletes those in this list that the spec no longer needs."""

    def is_true(self, condition: str) -> bool:
        """Return whether the condition of this type is True."""
        found = self.condition(condition)
        return found is not None and found.status == "True"

    def condition(self, name: str) -> Condition | None:
        """Return the condition of this type, or None."""
        return next((each for each in self.conditions if each.type == name), None)
