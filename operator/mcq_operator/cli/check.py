"""`python -m mcq_operator check FILE`: print a manifest's objects, or what policies refuse, without a cluster."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import yaml
from pydantic import BaseModel, ValidationError

from mcq_operator import desired
from mcq_operator.api import ExamSpec, Manifest, MCQExam, MCQSolver, SolverSpec
from mcq_operator.api.base import API_VERSION, EXAM_KIND, SOLVER_KIND
from mcq_operator.api.kinds import POLICY
from mcq_operator.api.policy import MCQPolicy, PolicySpec
from mcq_operator.api.policy_rules import refusals

UID = "00000000-0000-0000-0000-000000000000"
"""Stands in for the uid that the API server assigns."""
SPECS: dict[str, type[BaseModel]] = {SOLVER_KIND: SolverSpec, EXAM_KIND: ExamSpec, POLICY.kind: PolicySpec}


class CheckError(Exception):
    """A file is unreadable or has an invalid manifest. The message says where."""


def check(
    path: str,
    *,
    namespace: str,
    installation: desired.Installation,
    out: TextIO,
) -> None:
    """Print the objects of each MCQSolver in the file as YAML. Raises CheckError.

    This does not evaluate the API server's rules (`x-kubernetes-validations` of the CRD).
    """
    objects = [
        manifest
        for document, _ in _documents(path, SOLVER_KIND)
        for manifest in desired.objects(
            MCQSolver.model_validate(_with_namespace(document, namespace)), installation
        )
    ]
    yaml.safe_dump_all(objects, out, sort_keys=False)


def policy_refusals(path: str, policy_paths: Sequence[str], *, namespace: str) -> list[str]:
    """Return a line for each refusal of the file's MCQSolvers and MCQExams by the policies. Raises CheckError."""
    policies = [
        MCQPolicy.model_validate(document)
        for policy_path in policy_paths
        for document, _ in _documents(policy_path, POLICY.kind)
    ]
    return [
        f"{where}: {refusal}"
        for document, where in _documents(path, SOLVER_KIND, EXAM_KIND)
        for policy in policies
        for refusal in _refusals(policy, _with_namespace(document, namespace))
    ]


def _refusals(policy: MCQPolicy, document: Manifest) -> Iterator[str]:
    resource = (MCQSolver if document["kind"] == SOLVER_KIND else MCQExam).model_validate(document)
    # The API server has filled in the defaults before it evaluates a policy.
    spec = resource.model_dump(by_alias=True, exclude_none=True)["spec"]
    return refusals(policy, {"spec": spec}, namespace=resource.namespace)


def _with_namespace(document: Manifest, namespace: str) -> Manifest:
    metadata = {"namespace": namespace, "uid": UID, **(document.get("metadata") or {})}
    return {**document, "metadata": metadata, "spec": document.get("spec") or {}}


def _documents(path: str, *kinds: str) -> Iterator[tuple[Manifest, str]]:
    """Yield each manifest of the file and its position. Raises CheckError for a kind that is not in `kinds`."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"{path}: {error}"
        raise CheckError(message) from error
    if not documents:
        message = f"{path}: the file has no manifest"
        raise CheckError(message)
    for number, document in enumerate(documents, 1):
        where = f"{path}, document {number}"
        yield _valid(document, kinds, where=where), where


def _valid(document: Any, kinds: Sequence[str], *, where: str) -> Manifest:
    kind = str(document.get("kind")) if isinstance(document, dict) else ""
    if kind not in kinds or document.get("apiVersion") != API_VERSION:
        message = f"{where}: not an {' or '.join(kinds)} of {API_VERSION}"
        raise CheckError(message)
    try:
        SPECS[kind].model_validate(document.get("spec") or {}, extra="forbid")
        MCQPolicy.model_validate({"metadata": document.get("metadata")})  # that it has a name
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in error.errors()
        )
        message = f"{where}: {problems}"
        raise CheckError(message) from error
    return dict(document)
