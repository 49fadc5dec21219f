"""The model cache that a solver's replicas share."""

from typing import Any

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import CLAIM

from .manifest import manifest


def cache_claim(solver: MCQSolver) -> Manifest | None:
    """The claim for the model cache, unless each replica has its own or the user named one.

    The solver owns it, so it is deleted with the solver. Of its spec only the size can change later, and only
    grow; the CRD's rules refuse the rest, so that nothing here is ever applied in vain.
    """
    cache = solver.spec.storage.cache
    if cache.type != "PVC" or cache.claim_name:
        return None
    return manifest(
        CLAIM,
        solver,
        name=names.cache_name(solver),
        spec={
            "accessModes": [cache.access_mode],
            "storageClassName": cache.storage_class_name,
            "resources": {"requests": {"storage": str(cache.size)}},
        },
    )


def cache_volume(solver: MCQSolver) -> dict[str, Any]:
    """The Pod's volume for the model cache."""
    cache = solver.spec.storage.cache
    if cache.type == "EmptyDir":
        return {"name": "cache", "emptyDir": {"sizeLimit": str(cache.size)}}
    claim = cache.claim_name or names.cache_name(solver)
    return {"name": "cache", "persistentVolumeClaim": {"claimName": claim}}
