"""The model store: fetch, verify, convert and cache models."""

from mcq_service.model_store.errors import (
    AccessDenied,
    BadReference,
    ConversionFailed,
    DigestMismatch,
    ModelDamaged,
    ModelNotFound,
    ModelStoreError,
    NotEnoughSpace,
    SourceChanged,
    SourceError,
    SourceUnreachable,
    StoreNotWritable,
)
from mcq_service.model_store.precision import INSTRUCTION_SETS, InstructionSet, Precision, PrecisionChoice
from mcq_service.model_store.progress import Progress, Stage
from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.store import PreparedModel, Store

__all__ = [
    "INSTRUCTION_SETS",
    "AccessDenied",
    "BadReference",
    "ConversionFailed",
    "DigestMismatch",
    "InstructionSet",
    "ModelDamaged",
    "ModelNotFound",
    "ModelRef",
    "ModelStoreError",
    "NotEnoughSpace",
    "Precision",
    "PrecisionChoice",
    "PreparedModel",
    "Progress",
    "SourceChanged",
    "SourceError",
    "SourceUnreachable",
    "Stage",
    "Store",
    "StoreNotWritable",
]
