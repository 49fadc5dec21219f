"""The image of a solver's replicas. The one without torch is a tenth of the size of the one with it."""

from dataclasses import dataclass
from typing import NamedTuple

from mcq_operator.api import MCQSolver
from mcq_operator.api.rbac import NAMESPACE
from mcq_operator.api.solver import SolverSpec


class ServiceImages(NamedTuple):
    """The service's images: `cpu` has the int8 engine alone, `torch` also computes in floats and on GPUs."""

    cpu: str
    torch: str


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What a solver's objects take from the operator's installation.

    Attributes:
        images: the replicas' images for a spec that names none.
        operator_image: the operator's own image, which the backup Jobs run.
        namespace: where the operator runs.
        runbooks_url: the address of this repository's files, for the links of the alerts.

    """

    images: ServiceImages
    operator_image: str
    namespace: str = NAMESPACE
    runbooks_url: str = ""


def replica_image(solver: MCQSolver, images: ServiceImages) -> str:
    """Return the spec's image or, if it names none, the smallest one that can run the solver."""
    return solver.spec.image or (images.torch if _needs_torch(solver.spec) else images.cpu)


def _needs_torch(spec: SolverSpec) -> bool:
    """True for float precisions, and for resources with a domain, such as nvidia.com/gpu."""
    limits = spec.resources.limits or {}
    return spec.model.precision in {"float32", "bfloat16"} or any("/" in name for name in limits)
