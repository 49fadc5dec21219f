"""A gate's objects: the candidate, a solver that only the gate's exam asks, and that exam.

Both are ordinary resources, so the operator handles their failures like those of any other, and their statuses show
them.
"""

from typing import Any

from mcq_operator.api import Manifest, MCQExam, MCQSolver, names
from mcq_operator.api.base import Model
from mcq_operator.api.kinds import EXAM, SOLVER
from mcq_operator.api.scaling import Gate

from .images import ServiceImages, replica_image
from .manifest import digest, manifest

OFF = {"enabled": False}


def identity(solver: MCQSolver, *, images: ServiceImages) -> str:
    """Return the digest of everything that may change answers: the model, its source, and the engine.

    A Secret of credentials may set the server of s3://, so it counts unless the model's digest is given. The Pods'
    environment may set the server too, and a claim may hold other weights.
    """
    spec = solver.spec
    model = (
        spec.model.model_copy(update={"credentials_secret_ref": None}) if spec.model.digest else spec.model
    )
    pods = spec.pod_template.model_dump(exclude={"metadata", "security_context"}, exclude_none=True)
    return digest(
        [
            _plain(model),
            spec.engine.type,
            spec.engine.openai and _plain(spec.engine.openai),
            replica_image(solver, images),
            spec.answering.debias,
            spec.storage.cache.claim_name,
            pods,
        ]
    )


def candidate_id(solver: MCQSolver, gate: Gate, *, images: ServiceImages) -> str:
    """Return a digest of a change, the gate's limits, and the request to try again, if there is one."""
    retry = solver.metadata.annotations.get(names.RETRY_ANNOTATION)
    return digest([identity(solver, images=images), _plain(gate), *([retry] if retry else [])])


def attempt(solver: MCQSolver, exam: MCQExam | None) -> str:
    """Return a digest of what may decide an attempt of the same change; empty until the exam's questions are known.

    Without defaults, so that it stays the same if a new release of the operator knows more fields.
    """
    if exam is None or exam.status.exam_digest is None:
        return ""
    spec = MCQSolver.model_validate(candidate(solver)).spec
    return digest(
        [
            spec.model_dump(mode="json", exclude_defaults=True),
            exam.spec.model_dump(mode="json", exclude_defaults=True, exclude={"schedule", "pass_"}),
            exam.status.exam_digest,
        ]
    )


def candidate(solver: MCQSolver) -> Manifest:
    """Return the candidate: one replica of the solver's spec, with the solver's model cache."""
    spec = _plain(solver.spec)
    # With a target accuracy, the exam would set a threshold, and the threshold would replace the candidate's replica.
    spec["answering"].pop("targetAccuracy", None)
    cache = spec["storage"]["cache"]
    if cache["type"] == "PVC":
        cache.setdefault("claimName", names.cache_name(solver))
    startup = solver.spec.rollout.startup_seconds
    spec |= {
        "replicas": 1,
        "storage": {"cache": cache},
        "autoscaling": OFF,
        "ingress": OFF,
        "gateway": OFF,
        "monitoring": {"serviceMonitor": OFF, "alerts": OFF, "dashboards": OFF},
        "disruption": {"minAvailable": 0},
        "rollout": {} if startup is None else {"startupSeconds": startup},
    }
    return manifest(SOLVER, solver, name=names.candidate_name(solver), spec=spec)


def candidate_exam(solver: MCQSolver, exam: MCQExam, gate: Gate) -> Manifest:
    """Return the gate's exam: the questions of `exam` for the candidate, with the result of `exam` as baseline."""
    spec = _plain(exam.spec)
    for left_out in ("schedule", "pass"):
        spec.pop(left_out, None)
    limits = {
        "minAccuracy": gate.min_accuracy,
        "maxRegression": gate.max_regression,
        "maxCalibrationError": gate.max_calibration_error,
    }
    name = names.candidate_name(solver)
    spec |= {
        "solverRef": {"name": name},
        "baselineRef": {"name": exam.name},
        "pass": {key: _whole(value) for key, value in limits.items() if value is not None},
    }
    return manifest(EXAM, solver, name=name, spec=spec)


def _plain(model: Model) -> dict[str, Any]:
    """Return a model in the form that the API server stores."""
    content: dict[str, Any] = _whole(model.model_dump(by_alias=True, exclude_none=True))
    return content


def _whole(value: Any) -> Any:
    """Return the value with whole floats as integers: the API server stores 1.0 as 1, which would differ for ever."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
