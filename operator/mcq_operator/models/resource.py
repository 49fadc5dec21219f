"""What MCQSolver and MCQExam have in common: an identity, and a status with conditions and an inventory."""

from dataclasses import dataclass
from typing import ClassVar, Self, cast

from .base import EXAM_KIND, SOLVER_KIND, Manifest, Model
from .status import ResourceStatus


class Metadata(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None


@dataclass(frozen=True, order=True)
class Key:
    """Which resource of a kind: all that an event needs to say. Keys of two kinds are never equal."""

    KIND: ClassVar[str]
    namespace: str
    name: str

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
    def deleting(self) -> bool:
        """Whether the garbage collector is already at work."""
        return self.metadata.deletion_timestamp is not None
