"""What MCQSolver and MCQExam have in common: an identity, and a status with conditions and an inventory."""

from dataclasses import dataclass
from typing import ClassVar, Self, cast

from pydantic import Field

from .base import API_VERSION, EXAM_KIND, SOLVER_KIND, Manifest, Model, ObjectName
from .status import ResourceStatus


class ExamRef(Model):
    """An MCQExam of the same namespace."""

    name: ObjectName
    """The exam's name."""


class Owner(Model):
    """An object's owner, as far as it is one of the operator's kinds."""

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
    """Which resource of a kind: all that an event needs to say. Keys of two kinds are never equal."""

    KIND: ClassVar[str]
    namespace: str
    name: str

    @property
    def word(self) -> str:
        """What logs and traces call its kind: solver, exam."""
        return self.KIND.removeprefix("MCQ").lower()

    def __str__(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class SolverKey(Key):
    """Which solver."""

    KIND = SOLVER_KIND


class ExamKey(Key):
    """Which exam."""

    KIND = EXAM_KIND


KEYS: dict[str, type[Key]] = {key.KIND: key for key in (SolverKey, ExamKey)}
"""The keys of each kind that the operator reconciles."""


class Resource(Model):
    """A resource that the operator reconciles, as it is stored."""

    KEY: ClassVar[type[Key]]
    metadata: Metadata
    status: ResourceStatus = ResourceStatus()

    @classmethod
    def without_spec(cls, raw: Manifest) -> Self:
        """Metadata and status of a resource whose spec can't be read."""
        status: ResourceStatus = cls.model_fields["status"].default
        known = cls.model_construct(
            metadata=Metadata.model_validate(raw["metadata"]),
            status=type(status).model_validate(raw.get("status", {})),
        )
        return cast("Self", known)

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
        """The resource that it was made for, if it was."""
        for owner in self.metadata.owner_references:
            if owner.controller and owner.kind in KEYS and owner.api_version == API_VERSION:
                return KEYS[owner.kind](self.namespace, owner.name)
        return None

    @property
    def deleting(self) -> bool:
        """Whether the garbage collector is already at work."""
        return self.metadata.deletion_timestamp is not None
