"""Which model the replicas have, which is not always the spec's: a gate or a rollback keeps another one."""

from collections.abc import Iterable

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.observed import is_ready

from .pods import present


def model(solver: MCQSolver, pods: Iterable[Manifest], *, told: str | None) -> str:
    """Return the model that answers: that of the ready replicas, or `told` where they have several or none."""
    found = {
        annotations[names.MODEL_ANNOTATION]
        for pod in pods
        if present(pod)
        and is_ready(pod)
        and names.MODEL_ANNOTATION in (annotations := pod["metadata"].get("annotations", {}))
    }
    return found.pop() if len(found) == 1 else told or solver.model_uri


def images(pods: Iterable[Manifest]) -> set[str]:
    """Return the digests of the service's image that the ready replicas run, as their nodes tell them."""
    found = (
        each.get("imageID", "")
        for pod in pods
        if present(pod) and is_ready(pod)
        for each in pod["status"].get("containerStatuses", [])
        if each["name"] == names.SERVICE_CONTAINER
    )
    return {image.rpartition("@")[2] for image in found if image}


def told(template: Manifest) -> str | None:
    """Return what a template tells replicas to load; None for one that an older operator made."""
    found: str | None = template["metadata"].get("annotations", {}).get(names.MODEL_ANNOTATION)
    return found
