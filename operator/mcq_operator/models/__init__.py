"""The API's kinds as pydantic models; the CustomResourceDefinition and the RBAC are generated from them."""

from . import names
from .base import API_VERSION, FIELD_MANAGER, GROUP, SOLVERS, VERSION, Manifest
from .solver import MCQSolver, SolverKey, SolverSpec
from .status import Condition, ObjectRef, ObservedModel, Rollback, SolverStatus

__all__ = [
    "API_VERSION",
    "FIELD_MANAGER",
    "GROUP",
    "SOLVERS",
    "VERSION",
    "Condition",
    "MCQSolver",
    "Manifest",
    "ObjectRef",
    "ObservedModel",
    "Rollback",
    "SolverKey",
    "SolverSpec",
    "SolverStatus",
    "names",
]
