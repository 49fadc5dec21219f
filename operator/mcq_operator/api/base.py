"""The base of the API's models: names, the base class, and rules that the API server evaluates."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

GROUP = "mcq-operator.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
SOLVER_KIND = "MCQSolver"
SOLVERS = "mcqsolvers"
EXAM_KIND = "MCQExam"
EXAMS = "mcqexams"
FIELD_MANAGER = "mcq-operator"

Manifest = dict[str, Any]
"""A Kubernetes object as the API server's JSON has it."""


class Model(BaseModel):
    """An immutable value in the API's camelCase.

    It ignores unknown fields. The API server has already refused or pruned them, and an operator one release behind
    its CRD must still read stored objects.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


def rule(
    expression: str, message: str, *, path: str | None = None, computed: str | None = None
) -> dict[str, Any]:
    """Return one CEL rule (`x-kubernetes-validations`) with the message for a violation.

    `computed` is a CEL expression for a message that quotes the value. The API server falls back to `message` if it
    can't evaluate the expression.
    """
    entry = {"rule": expression, "message": message}
    if computed is not None:
        entry["messageExpression"] = computed
    if path is not None:
        entry["fieldPath"] = path
    return entry


def rules(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON-schema extra that attaches CEL rules to a field or a model."""
    return {"x-kubernetes-validations": list(entries)}


def text(expression: str, message: str, *, longest: int) -> Any:
    """Return a bounded string with a CEL rule. Unlike a bare pattern, a rule can say what to write instead."""
    return Field(min_length=1, max_length=longest, json_schema_extra=rules(rule(expression, message)))


HTTP_HOST = "([A-Za-z0-9][A-Za-z0-9.-]*|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]{1,5})?"
"""Matches a URL's host, which may be an IPv6 address in brackets, and its port. For use inside a CEL string."""


def http_url(message: str) -> Any:
    """Return a string that must be an HTTP URL; `message` says which one."""
    return text(f"self.matches('^https?://{HTTP_HOST}(/.*)?$')", message, longest=512)


Fraction = Annotated[float, Field(ge=0, le=1)]
PassThrough = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
"""An object that the operator passes to Kubernetes unchanged. The API server checks it on apply."""
Switch = Annotated[
    bool | Literal["Auto"],
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "enum": ["Auto", True, False]}),
]
"""On, off, or Auto: on if the cluster has the kind that it needs."""
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?([eE][0-9]+|m|k|[MGTPE]|[KMGTPE]i)?$"
Quantity = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN, "maxLength": 32}),
]
"""A Kubernetes quantity: `2`, `250m`, `8Gi`."""

Digest = Annotated[
    str,
    text(
        "self.matches('^sha256:[0-9a-f]{64}$')",
        "digest must be sha256: and 64 lower-case hexadecimal digits",
        longest=71,
    ),
]
"""The SHA-256 digest of a file's content."""

Schedule = Annotated[
    str,
    text(
        "self.matches('^(@(hourly|daily|weekly|monthly|yearly|annually|midnight)"
        "|[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+)$')",
        "schedule must be a cron expression of five fields, like '0 3 * * 1', or @daily",
        longest=128,
    ),
]
"""A cron expression, in UTC."""

Host = Annotated[
    str,
    text(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "host must be a lower-case DNS name without scheme, port or wildcard, like mcq.example.com",
        longest=253,
    ),
]
ObjectName = Annotated[
    str,
    text(
        "self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
        "must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.'",
        longest=253,
    ),
]
