"""Pydantic models of the API's kinds. The CRDs and the RBAC are generated from them."""

from . import names
from .base import API_VERSION, FIELD_MANAGER, GROUP, SOLVERS, VERSION, Manifest
from .exam import ExamSpec, MCQExam
from .resource import ExamKey, Key, Resource, SolverKey
from .solver import MCQSolver, SolverSpec
from .status import (
    Condition,
    ExamStatus,
    GateStatus,
    LastExam,
    ObjectRef,
    ObservedModel,
    Override,
    ResourceStatus,
    Rollback,
    SolverStatus,
)

__all__ = [
    "API_VERSION",
    "FIELD_MANAGER",
    "GROUP",
    "SOLVERS",
    "VERSION",
    "Condition",
    "ExamKey",
    "ExamSpec",
    "ExamStatus",
    "GateStatus",
    "Key",
    "LastExam",
    "MCQExam",
    "MCQSolver",
    "Manifest",
    "ObjectRef",
    "ObservedModel",
    "Override",
    "Resource",
    "ResourceStatus",
    "Rollback",
    "SolverKey",
    "SolverSpec",
    "SolverStatus",
    "names",
]
