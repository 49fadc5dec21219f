"""The model store: fetch, verify, convert and cache models."""

from mcq_service.model_store.errors import (
    BadReference,
    ModelStoreError,
)
from mcq_service.model_store.precision import INSTRUCTION_SETS, InstructionSet, Precision, PrecisionChoice
from mcq_service.model_store.progress import Stage
from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.store import PreparedModel, Store

__all__ = [
    "INSTRUCTION_SETS",
    "BadReference",
    "InstructionSet",
    "ModelRef",
    "ModelStoreError",
    "Precision",
    "PrecisionChoice",
    "PreparedModel",
    "Stage",
    "Store",
]
