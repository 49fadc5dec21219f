"""What a manifest would make, without a cluster: `python -m mcq_operator check FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import yaml
from pydantic import ValidationError

from . import desired
from .models import MCQSolver, SolverSpec
from .models.base import API_VERSION, SOLVER_KIND

NAMESPACE = "default"
UID = "00000000-0000-0000-0000-000000000000"
"""In place of the one that the API server gives."""


class CheckError(Exception):
    """A file that can't be read, or that has something else than solvers; the message says where."""


def check(path: str, *, service_image: str, operator_image: str, out: TextIO) -> None:
    """Print every object that each MCQSolver of the file means, as YAML. Raises CheckError.

    The rules that the API server evaluates (`x-kubernetes-validations` of the CRD) are not.
    """
    objects = [
        manifest
        for solver in _solvers(path)
        for manifest in desired.objects(solver, service_image=service_image, operator_image=operator_image)
    ]
    yaml.safe_dump_all(objects, out, sort_keys=False)


def _solvers(path: str) -> Iterator[MCQSolver]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"{path}: {error}"
        raise CheckError(message) from error
    if not documents:
        message = f"{path}: there is no manifest in it"
        raise CheckError(message)
    for number, document in enumerate(documents, 1):
        yield _solver(document, where=f"{path}, document {number}")


def _solver(document: object, *, where: str) -> MCQSolver:
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (
        API_VERSION,
        SOLVER_KIND,
    ):
        message = f"{where}: not an {SOLVER_KIND} of {API_VERSION}"
        raise CheckError(message)
    metadata = {"namespace": NAMESPACE, "uid": UID, **(document.get("metadata") or {})}
    try:
        SolverSpec.model_validate(document.get("spec") or {}, extra="forbid")
        return MCQSolver.model_validate({"metadata": metadata, "spec": document.get("spec") or {}})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in error.errors()
        )
        message = f"{where}: {problems}"
        raise CheckError(message) from error
