"""What every model of the API shares: names, the base class, and rules the API server evaluates."""

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

    Unknown fields are ignored here, not refused: the API server has already refused or pruned them, and an
    operator one release behind its CRD must still be able to read what is stored.
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
    """One CEL rule (`x-kubernetes-validations`) with the message its violator reads.

    `computed` is a CEL expression for a message that quotes the value; where it can't be computed, `message` is read.
    """
    entry = {"rule": expression, "message": message}
    if computed is not None:
        entry["messageExpression"] = computed
    if path is not None:
        entry["fieldPath"] = path
    return entry


def rules(*entries: dict[str, Any]) -> dict[str, Any]:
    """The JSON-schema extra that attaches CEL rules to a field or a model."""
    return {"x-kubernetes-validations": list(entries)}


def text(expression: str, message: str, *, longest: int) -> Any:
    """A bounded string checked by a CEL rule, which, unlike a bare pattern, can say what to write instead."""
    return Field(min_length=1, max_length=longest, json_schema_extra=rules(rule(expression, message)))


HTTP_HOST = "([A-Za-z0-9][A-Za-z0-9.-]*|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]{1,5})?"
"""A URL's host, which may be an IPv6 address in brackets, and its port; an expression inside a CEL string."""


def http_url(message: str) -> Any:
    """A string that must be an HTTP URL; `message` says of what."""
    return text(f"self.matches('^https?://{HTTP_HOST}(/.*)?$')", message, longest=512)


Fraction = Annotated[float, Field(ge=0, le=1)]
PassThrough = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
"""An object handed to Kubernetes as it is; the API server checks it when the object with it is applied."""
Switch = Annotated[
    bool | Literal["Auto"],
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "enum": ["Auto", True, False]}),
]
"""On, off, or Auto: on where the cluster has the kind that it needs."""
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
"""Of a file's content."""

Schedule = Annotated[
    str,
    text(
        "self.matches('^(@(hourly|daily|weekly|monthly|yearly|annually|midnight)"
        "|[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+)$')",
        "schedule must be a cron expression of five fields, like '0 3 * * 1', or @daily",
        longest=128,
    ),
]
"""Cron's form, in UTC."""

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
