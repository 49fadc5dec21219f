"""The CustomResourceDefinitions, generated from the pydantic models.

Pydantic emits JSON Schema 2020-12. The API server needs a *structural* OpenAPI v3 schema: no `$ref`, no `null` type,
no `title`. It fills in the defaults inside an optional object only if the object has a default itself.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from .base import GROUP, VERSION, Manifest, rule
from .exam import ExamSpec
from .exam_status import ExamStatus
from .kinds import EXAM, POLICY, SOLVER, Kind
from .policy import PolicySpec
from .solver import SolverSpec
from .solver_status import SolverStatus

Schema = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The parts of a CustomResourceDefinition that differ between kinds.

    Attributes:
        kind: the kind.
        description: one sentence for `kubectl explain`.
        spec, status: the models; a kind that the operator does not reconcile has no status.
        short_names: kubectl's short names.
        name_rule: the CEL rule for names.
        columns: the columns of `kubectl get`.
        subresources: subresources besides status.
        spec_default: whether the spec may be left out.
        scope: whether objects are namespaced or cluster-wide.

    """

    kind: Kind
    description: str
    spec: type[BaseModel]
    status: type[BaseModel] | None
    short_names: tuple[str, ...]
    name_rule: Schema
    columns: tuple[Schema, ...]
    subresources: Schema = field(default_factory=dict)
    spec_default: bool = False
    scope: Literal["Namespaced", "Cluster"] = "Namespaced"


def _column(name: str, kind: str, path: str, description: str | None = None) -> Schema:
    """Return a column of `kubectl get`."""
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return column if description is None else {**column, "description": description}


def _condition(name: str, description: str) -> Schema:
    """Return a column with a condition's status."""
    return _column(name, "string", f".status.conditions[?(@.type=='{name}')].status", description)


def _reason(condition: str) -> Schema:
    """Return a wide column with a condition's reason."""
    path = f".status.conditions[?(@.type=='{condition}')].reason"
    return {**_column("Reason", "string", path), "priority": 1}


AGE = _column("Age", "date", ".metadata.creationTimestamp")
SOLVER_DEFINITION = Definition(
    kind=SOLVER,
    description="A service that answers multiple-choice questions. The MCQ Operator keeps it running.",
    spec=SolverSpec,
    status=SolverStatus,
    short_names=("mcq",),
    name_rule=rule(
        "self.metadata.name.size() <= 50 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name of an MCQSolver names its Service too: at most 50 lower-case letters, digits and '-',"
        " starting with a letter",
    ),
    columns=(
        _condition(
            "Ready", "Whether every desired replica runs the current spec and a test question was answered"
        ),
        _column("Replicas", "integer", ".status.readyReplicas", "Replicas that can answer"),
        _column("Model", "string", ".status.model.uri"),
        _column(
            "Accuracy",
            "number",
            ".status.exam.accuracy",
            "The share of right answers of the current replicas in their last exam",
        ),
        _column("URL", "string", ".status.url"),
        _reason("Ready"),
        AGE,
    ),
    subresources={
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
    spec_default=True,
)
EXAM_DEFINITION = Definition(
    kind=EXAM,
    description="Questions with known answers that measure a solver's accuracy.",
    spec=ExamSpec,
    status=ExamStatus,
    short_names=(),
    name_rule=rule(
        "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name of an MCQExam names its Jobs too: at most 40 lower-case letters, digits and '-',"
        " starting with a letter",
    ),
    columns=(
        _column("Solver", "string", ".spec.solverRef.name"),
        _column("Accuracy", "string", ".status.summary", "The share of right answers, and its 95 % interval"),
        _column("Questions", "integer", ".status.count"),
        _column("ECE", "number", ".status.calibrationError", "The expected calibration error"),
        _condition("Passed", "Whether the result meets the limits in spec.pass"),
        _condition("Complete", "Whether the solver's current replicas have taken the exam"),
        _reason("Complete"),
        _column("Sat", "date", ".status.sat", "When the last question was answered"),
        AGE,
    ),
)
POLICY_DEFINITION = Definition(
    kind=POLICY,
    description="The images, addresses and names that MCQSolvers and MCQExams may refer to; the API server enforces"
    " it at admission.",
    spec=PolicySpec,
    status=None,
    short_names=(),
    name_rule=rule("self.metadata.name.size() <= 63", "the name of an MCQPolicy has at most 63 characters"),
    columns=(
        _column("Namespaces", "string", ".spec.namespaces"),
        _column("Secrets", "string", ".spec.secrets"),
        AGE,
    ),
    spec_default=True,
    scope="Cluster",
)
DEFINITIONS = (SOLVER_DEFINITION, EXAM_DEFINITION, POLICY_DEFINITION)


def structural(schema: Schema, definitions: dict[str, Schema], *, defaults: bool = True) -> Schema:
    """Return a pydantic schema in the dialect of a CustomResourceDefinition, with or without its defaults."""
    schema = _resolve(schema, definitions)
    result: Schema = {}
    for key, value in schema.items():
        if key in ("$defs", "title", "default") or value is False:
            continue
        match key:
            case "const":
                result["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":  # a number in 2020-12, a flag in OpenAPI v3
                result |= {key.removeprefix("exclusive").lower(): value, key: True}
            case "properties":
                result[key] = {
                    name: _property(item, definitions, defaults=defaults) for name, item in value.items()
                }
            case "items" | "additionalProperties" if isinstance(value, dict):
                result[key] = structural(value, definitions, defaults=defaults)
            case "description":
                result[key] = " ".join(value.split())
            case _:
                result[key] = value
    return result


def _property(schema: Schema, definitions: dict[str, Schema], *, defaults: bool) -> Schema:
    result = structural(schema, definitions, defaults=defaults)
    default = schema.get("default")
    if not defaults or default is None:
        return result
    if "$ref" in schema:
        default = _object_default(default, _resolve(schema, definitions))
    return {**result, "default": default}


def _object_default(default: Schema, schema: Schema) -> Schema:
    """Return the shortest default of an optional object: leave out values that equal the fields' own defaults.

    An object with CEL rules keeps them, because the API server evaluates the rules on the default as written.
    """
    ruled = "x-kubernetes-validations" in schema
    return {
        name: value
        for name, value in default.items()
        if value is not None and (ruled or value != schema["properties"][name].get("default"))
    }


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return the schema with its reference or its `X | None` resolved; its own keys win."""
    own = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return {**_resolve(target, definitions), **own}
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        if len(options) != 1:
            message = f"a field has {len(options)} types; give it one, or its own JSON schema: {schema}"
            raise TypeError(message)
        return {**_resolve(options[0], definitions), **own}
    return schema


def _schema(model: type[BaseModel], *, defaults: bool) -> Schema:
    schema = model.model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}), defaults=defaults)


def crd(definition: Definition) -> Manifest:
    """Return the CustomResourceDefinition of a kind."""
    kind = definition.kind
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": definition.scope,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": list(definition.short_names),
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root(definition)},
                    **_subresources(definition),
                    "additionalPrinterColumns": list(definition.columns),
                }
            ],
        },
    }


def _subresources(definition: Definition) -> Schema:
    status: Schema = {"status": {}} if definition.status else {}
    subresources = {**status, **definition.subresources}
    return {"subresources": subresources} if subresources else {}


def _root(definition: Definition) -> Schema:
    spec = _schema(definition.spec, defaults=True)
    return {
        "type": "object",
        "description": definition.description,
        "x-kubernetes-validations": [definition.name_rule],
        **({} if definition.spec_default else {"required": ["spec"]}),
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {**spec, "default": {}} if definition.spec_default else spec,
            **({"status": _schema(definition.status, defaults=False)} if definition.status else {}),
        },
    }
