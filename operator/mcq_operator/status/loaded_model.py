"""The model and the image of the replicas, which differ from the spec's after a rollback or during a gate."""

from collections.abc import Iterable

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.observed import is_ready

from .pods import present


def model(solver: MCQSolver, pods: Iterable[Manifest], *, fallback: str | None) -> str:
    """Return the model of the ready replicas, or `fallback` if they have several or none."""
    models = {
        annotations[names.MODEL_ANNOTATION]
        for pod in pods
        if present(pod)
        and is_ready(pod)
        and names.MODEL_ANNOTATION in (annotations := pod["metadata"].get("annotations", {}))
    }
    return models.pop() if len(models) == 1 else fallback or solver.model_uri


def images(pods: Iterable[Manifest]) -> set[str]:
    """Return the digests of the service's image that the ready replicas run, as their nodes report them."""
    image_ids = (
        each.get("imageID", "")
        for pod in pods
        if present(pod) and is_ready(pod)
        for each in pod["status"].get("containerStatuses", [])
        if each["name"] == names.SERVICE_CONTAINER
    )
    return {image.rpartition("@")[2] for image in image_ids if image}


def model_of(template: Manifest) -> str | None:
    """Return the model that a template's replicas should load; None if an older operator made the template."""
    uri: str | None = template["metadata"].get("annotations", {}).get(names.MODEL_ANNOTATION)
    return uri
