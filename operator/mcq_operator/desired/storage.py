"""The replicas' volumes: model cache, models, the last exam and Secrets."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from mcq_operator.api import LastExam, Manifest, MCQSolver, names
from mcq_operator.api.dependencies import dependencies
from mcq_operator.api.kinds import CLAIM, CONFIG_MAP
from mcq_operator.api.replica import SecretKey
from mcq_operator.api.resource_status import ObjectRef

from .config import (
    API_KEYS_PATH,
    CACHE_PATH,
    ENGINE_KEY_PATH,
    ESCALATION_KEY_PATH,
    EXAM_FILE,
    EXAM_PATH,
    model_path,
)
from .manifest import manifest
from .sources import mounted


class Volume(NamedTuple):
    """A volume of the Pod: its name, its mount path and its source."""

    name: str
    path: str
    source: dict[str, Any]


def cache_claim(solver: MCQSolver) -> Manifest | None:
    """Return the claim for the model cache.

    None if each replica has its own cache, if the user named a claim, or if the engine needs no cache.

    The solver owns the claim, so it is deleted with the solver. Later, only its size can change, and it can only grow:
    the CRD's rules refuse any other change.
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


def mounted_claims(deployment: Manifest | None, pods: Iterable[Manifest]) -> set[ObjectRef]:
    """Return the claims that replicas mount, or will mount, whatever the spec says.

    A gate or a rollback keeps replicas of an earlier spec, and a roll-out replaces them one by one. After its claim is
    deleted, a replica can't start again on another node.
    """
    running = [pod for pod in pods if pod.get("status", {}).get("phase") not in {"Failed", "Succeeded"}]
    users = [deployment, *running] if deployment else running
    return {ref for user in users for ref in dependencies(user) if ref.kind == CLAIM.kind}


def exam_summary(solver: MCQSolver, last_exam: LastExam | None) -> Manifest | None:
    """Return the ConfigMap with the last exam, which replicas show; None before the first exam."""
    if last_exam is None:
        return None
    summary = {**last_exam.model_dump(exclude={"ci95"}), "ci95": [last_exam.ci95.low, last_exam.ci95.high]}
    data = {EXAM_FILE: json.dumps(summary, sort_keys=True)}
    return manifest(CONFIG_MAP, solver, name=names.exam_summary_name(solver), data=data)


def volumes(solver: MCQSolver) -> list[Volume]:
    """Return the volumes of a replica."""
    engine, keys = solver.spec.engine, solver.spec.auth.api_keys_secret_ref
    result = [Volume("cache", CACHE_PATH, _cache(solver))] if engine.type == "Transformers" else []
    if engine.type == "Transformers" and (model := mounted(solver.spec.model.uri)):
        result.append(Volume("model", model_path(model), model.volume))
    result.append(Volume("tmp", "/tmp", {"emptyDir": {}}))  # noqa: S108 - the Pod's own
    # Optional: it does not exist before the first exam. Replicas read a new one without a restart.
    last_exam = {"name": names.exam_summary_name(solver), "optional": True}
    result.append(Volume("exam", EXAM_PATH, {"configMap": last_exam}))
    if engine.openai and (key := engine.openai.api_key_secret_ref):
        result.append(Volume("engine-key", ENGINE_KEY_PATH, _key(key)))
    if (target := solver.spec.answering.escalate_to) and (key := target.api_key_secret_ref):
        # Optional: without the key, replicas can't escalate, but they answer.
        result.append(Volume("escalation-key", ESCALATION_KEY_PATH, _key(key, optional=True)))
    if keys:
        # Optional, because otherwise the kubelet keeps the keys of a deleted Secret in running replicas. Without the
        # Secret, replicas start and refuse every client.
        result.append(Volume("api-keys", API_KEYS_PATH, _secret(keys.name, optional=True)))
    return result


def _cache(solver: MCQSolver) -> dict[str, Any]:
    cache = solver.spec.storage.cache
    if cache.type == "EmptyDir":
        return {"emptyDir": {"sizeLimit": str(cache.size)}}
    return {"persistentVolumeClaim": {"claimName": cache.claim_name or names.cache_name(solver)}}


def _key(key: SecretKey, **more: Any) -> dict[str, Any]:
    return _secret(key.name, items=[{"key": key.key, "path": key.key}], **more)


def _secret(name: str, **more: Any) -> dict[str, Any]:
    # 0440: only the service's user and group can read it.
    return {"secret": {"secretName": name, "defaultMode": 0o440, **more}}
