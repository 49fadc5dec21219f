"""The check of a restore: it accepts only objects in the form that our backups write.

A restore writes with the permissions of its user, often an administrator. Someone with write access to the store must
not be able to make it write other objects.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcq_operator.api import API_VERSION, Manifest, names
from mcq_operator.api.base import EXAM_KIND, SOLVER_KIND
from mcq_operator.api.kinds import CONFIG_MAP

from .contents import LEFT_OUT, whole_sitting_keys
from .errors import CorruptError

KubernetesName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ObjectMetadata(_Strict):
    name: KubernetesName
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Resource(_Strict):
    """An MCQSolver or MCQExam in the form that a user writes."""

    api_version: str = Field(alias="apiVersion", pattern=f"^{re.escape(API_VERSION)}$")
    kind: str
    metadata: _ObjectMetadata
    spec: dict[str, Any]


class _Results(_Strict):
    """A ConfigMap of an exam's results."""

    api_version: Literal["v1"] = Field(alias="apiVersion")
    kind: str
    metadata: _ObjectMetadata
    exam: KubernetesName
    data: dict[str, str]
    binary_data: dict[str, str] = Field(alias="binaryData")


def validate(objects: Iterable[Manifest]) -> Iterator[Manifest]:
    """Check each object and yield it. Raises CorruptError at an object that no backup of ours contains."""
    for item in objects:
        if (problem := _problem(item)) is not None:
            metadata = item.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            message = f"it has {item.get('kind')} {name}, which the operator does not back up: {problem}"
            raise CorruptError(message)
        yield item


def _problem(item: Manifest) -> str | None:
    try:
        if item.get("kind") in (SOLVER_KIND, EXAM_KIND):
            return _of_resource(_Resource.model_validate(item))
        if item.get("kind") == CONFIG_MAP.kind:
            return _of_results(_Results.model_validate(item))
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"a backup has {SOLVER_KIND}s, {EXAM_KIND}s and the ConfigMaps of exams' results"


def _of_resource(item: _Resource) -> str | None:
    operators = LEFT_OUT & item.metadata.annotations.keys()
    return f"only the operator sets the annotation {min(operators)}" if operators else None


def _of_results(item: _Results) -> str | None:
    if re.fullmatch(rf"{re.escape(item.exam)}-results(-\d+)?", item.metadata.name) is None:
        return f"its name is not that of a result of MCQExam {item.exam}"
    if item.metadata.labels or item.metadata.annotations.keys() - {names.RESTORED_ANNOTATION}:
        return "it has labels, or annotations that the operator does not set"
    keys = item.data.keys() | item.binary_data.keys()
    if others := keys - whole_sitting_keys(keys):
        return f"{min(others)} is not part of a result"
    return None
