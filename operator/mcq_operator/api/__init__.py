"""Pydantic models of the API's kinds. The CRDs and the RBAC are generated from them."""

from . import names
from .base import API_VERSION, FIELD_MANAGER, GROUP, SOLVERS, VERSION, Manifest
from .exam import ExamSpec, MCQExam
from .exam_status import ExamStatus
from .gate_status import GateStatus, Override
from .resource import ExamKey, Key, Resource, SolverKey
from .resource_status import Condition, ObjectRef, ResourceStatus
from .solver import MCQSolver, SolverSpec
from .solver_status import LastExam, ObservedModel, Rollback, SolverStatus

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
