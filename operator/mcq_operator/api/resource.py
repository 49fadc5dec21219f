"""The base of MCQSolver and MCQExam: an identity, and a status with conditions and an inventory."""

from dataclasses import dataclass
from typing import ClassVar, Self, cast

from pydantic import Field

from .base import API_VERSION, EXAM_KIND, SOLVER_KIND, Manifest, Model, ObjectName
from .resource_status import ResourceStatus


class ExamRef(Model):
    """An MCQExam of the same namespace."""

    name: ObjectName
    """The exam's name."""


class Owner(Model):
    """An owner reference of an object."""

    api_version: str
    kind: str
    name: str
    controller: bool = False


class Metadata(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: list[Owner] = Field(default_factory=list)


@dataclass(frozen=True, order=True)
class Key:
    """Identifies one resource of a kind; an event carries nothing else. Keys of different kinds are never equal."""

    KIND: ClassVar[str]
    namespace: str
    name: str

    @property
    def short_kind(self) -> str:
        """The kind's short name in logs and traces: solver or exam."""
        return self.KIND.removeprefix("MCQ").lower()

    def __str__(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class SolverKey(Key):
    """Identifies a solver."""

    KIND = SOLVER_KIND


class ExamKey(Key):
    """Identifies an exam."""

    KIND = EXAM_KIND


KEYS: dict[str, type[Key]] = {key.KIND: key for key in (SolverKey, ExamKey)}
"""The key class of each kind that the operator reconciles."""


class Resource(Model):
    """A resource that the operator reconciles, as it is stored."""

    KEY: ClassVar[type[Key]]
    metadata: Metadata
    status: ResourceStatus = ResourceStatus()

    @classmethod
    def without_spec(cls, raw: Manifest) -> Self:
        """Return a resource with an unreadable spec: only its metadata and status."""
        status: ResourceStatus = cls.model_fields["status"].default
        resource = cls.model_construct(
            metadata=Metadata.model_validate(raw["metadata"]),
            status=type(status).model_validate(raw.get("status", {})),
        )
        return cast("Self", resource)

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace of the resource and of all its objects."""
        return self.metadata.namespace

    @property
    def parent(self) -> Key | None:
        """The resource that owns this one, if any."""
        for owner in self.metadata.owner_references:
            if owner.controller and owner.kind in KEYS and owner.api_version == API_VERSION:
                return KEYS[owner.kind](self.namespace, owner.name)
        return None

    @property
    def deleting(self) -> bool:
        """Whether the resource is being deleted."""
        return self.metadata.deletion_timestamp is not None
