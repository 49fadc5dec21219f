"""The CustomResourceDefinition, made from the pydantic models.

Pydantic speaks JSON Schema 2020-12; the API server wants a *structural* OpenAPI v3 schema: no `$ref`, no
`null` type, no `title`, and a default for each optional object, so that defaults inside it are filled in too.
"""

from typing import Any

from pydantic import BaseModel

from .base import GROUP, SOLVER_KIND, SOLVERS, VERSION, Manifest, rule
from .solver import SolverSpec
from .status import SolverStatus

Schema = dict[str, Any]

NAME_RULE = rule(
    "self.metadata.name.size() <= 50 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "the name of an MCQSolver names its Service too: at most 50 lower-case letters, digits and '-',"
    " starting with a letter",
)

COLUMNS = [
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
        "description": "Whether every wanted replica runs the current spec and a question was answered",
    },
    {
        "name": "Replicas",
        "type": "integer",
        "jsonPath": ".status.readyReplicas",
        "description": "Replicas that can answer",
    },
    {"name": "Model", "type": "string", "jsonPath": ".status.model.uri"},
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
        "priority": 1,
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def structural(schema: Schema, definitions: dict[str, Schema], *, defaults: bool = True) -> Schema:
    """A pydantic schema in the dialect of a CustomResourceDefinition, with or without its defaults."""
    schema = _resolve(schema, definitions)
    result: Schema = {}
    for key, value in schema.items():
        if key in ("$defs", "title", "default") or value is False:
            continue
        match key:
            case "const":
                result["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":  # a number there, a flag beside the bound here
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
    """The shortest default of an optional object: what its fields' own defaults fill in is left out.

    Not where the object has CEL rules: the API server evaluates them on the default as it is written.
    """
    ruled = "x-kubernetes-validations" in schema
    return {
        name: value
        for name, value in default.items()
        if value is not None and (ruled or value != schema["properties"][name].get("default"))
    }


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema with its reference or its `X | None` replaced by what it stands for; its own keys win."""
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


def crd() -> Manifest:
    """The CustomResourceDefinition of MCQSolver."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{SOLVERS}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": SOLVER_KIND,
                "listKind": f"{SOLVER_KIND}List",
                "plural": SOLVERS,
                "singular": SOLVER_KIND.lower(),
                "shortNames": ["mcq"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": COLUMNS,
                }
            ],
        },
    }


def _root() -> Schema:
    return {
        "type": "object",
        "description": "A service that answers multiple-choice questions, kept running by the MCQ Operator.",
        "x-kubernetes-validations": [NAME_RULE],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {**_schema(SolverSpec, defaults=True), "default": {}},
            "status": _schema(SolverStatus, defaults=False),
        },
    }
