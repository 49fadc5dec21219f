"""What replicas find in their file system: the model cache that they share, and Secrets."""

import json
from typing import Any, NamedTuple

from mcq_operator.models import Manifest, MCQSolver, SatExam, names
from mcq_operator.models.kinds import CLAIM, CONFIG_MAP

from .config import API_KEYS_PATH, CACHE_PATH, ENGINE_KEY_PATH, EXAM_FILE, EXAM_PATH, model_path
from .manifest import manifest
from .sources import mounted


class Volume(NamedTuple):
    """A volume of the Pod, where the container has it, and what is in it."""

    name: str
    path: str
    source: dict[str, Any]


def cache_claim(solver: MCQSolver) -> Manifest | None:
    """The claim for the model cache, unless each replica has its own, the user named one, or none is needed.

    The solver owns it, so it is deleted with the solver. Of its spec only the size can change later, and only
    grow; the CRD's rules refuse the rest, so that nothing here is ever applied in vain.
    """
    cache = solver.spec.storage.cache
    if cache.type != "PVC" or cache.claim_name or solver.spec.engine.type == "OpenAI":
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


def sat_exam(solver: MCQSolver, sat: SatExam | None) -> Manifest | None:
    """What the replicas tell of their last exam."""
    if sat is None:
        return None
    told = {**sat.model_dump(exclude={"ci95"}), "ci95": [sat.ci95.low, sat.ci95.high]}
    data = {EXAM_FILE: json.dumps(told, sort_keys=True)}
    return manifest(CONFIG_MAP, solver, name=names.sat_exam_name(solver), data=data)


def volumes(solver: MCQSolver) -> list[Volume]:
    """What a replica's container finds in its file system."""
    engine, keys = solver.spec.engine, solver.spec.auth.api_keys_secret_ref
    found = [Volume("cache", CACHE_PATH, _cache(solver))] if engine.type == "Transformers" else []
    if engine.type == "Transformers" and (model := mounted(solver.spec.model.uri)):
        found.append(Volume("model", model_path(model), model.volume))
    found.append(Volume("tmp", "/tmp", {"emptyDir": {}}))  # noqa: S108 - the Pod's own
    # Not there before an exam was sat; a new one is seen without a restart.
    told = {"name": names.sat_exam_name(solver), "optional": True}
    found.append(Volume("exam", EXAM_PATH, {"configMap": told}))
    if engine.openai and (key := engine.openai.api_key_secret_ref):
        only = [{"key": key.key, "path": key.key}]
        found.append(Volume("engine-key", ENGINE_KEY_PATH, _secret(key.name, items=only)))
    if keys:
        # Optional, or the kubelet would leave the keys of a deleted Secret in running replicas. Without one, replicas
        # start and let nobody in.
        found.append(Volume("api-keys", API_KEYS_PATH, _secret(keys.name, optional=True)))
    return found


def _cache(solver: MCQSolver) -> dict[str, Any]:
    cache = solver.spec.storage.cache
    if cache.type == "EmptyDir":
        return {"emptyDir": {"sizeLimit": str(cache.size)}}
    return {"persistentVolumeClaim": {"claimName": cache.claim_name or names.cache_name(solver)}}


def _secret(name: str, **more: Any) -> dict[str, Any]:
    # 0440: the service's group reads it, and nobody else.
    return {"secret": {"secretName": name, "defaultMode": 0o440, **more}}
