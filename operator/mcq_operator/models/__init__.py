"""The API's kinds as pydantic models; the CustomResourceDefinition and the RBAC are generated from them."""

from . import names
from .base import API_VERSION, FIELD_MANAGER, GROUP, SOLVERS, VERSION, Manifest
from .solver import Cache, MCQSolver, SolverKey, SolverSpec
from .status import Condition, ObjectRef, ObservedModel, SolverStatus

__all__ = [
    "API_VERSION",
    "FIELD_MANAGER",
    "GROUP",
    "SOLVERS",
    "VERSION",
    "Cache",
    "Condition",
    "MCQSolver",
    "Manifest",
    "ObjectRef",
    "ObservedModel",
    "SolverKey",
    "SolverSpec",
    "SolverStatus",
    "names",
]
