"""docs/environment.md: the environment variables of both programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ByteSize

from mcq_operator import __version__
from mcq_operator.settings import Settings as OperatorSettings
from mcq_service.runtime.settings import Settings as ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_settings import BaseSettings

HEADER = """\
# Environment variables

This page lists every environment variable that the operator and the service read. `hack/generate` writes it from the
settings of both programs and `hack/reference/environment_page.py`.

Both programs read their variables once, when they start. A program ends with exit status 2 and a line for each invalid
value. The operator sets the variables of a solver's replicas from its spec ([all fields](mcqsolver.md)); set them
yourself for `make serve` and Compose.
"""
TABLE = """\
| variable | type | default | meaning |
|---|---|---|---|
"""
OPERATOR = """
## The operator

Set them in the `env` of the operator's Deployment (`config/operator/deployment.yaml`, or a patch of an overlay).

"""
SERVICE = """
## The service

"""
OTHERS = """
## Other variables

- `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: where both programs send traces. Without either,
  they send none.
- `OTEL_SERVICE_NAME`: the name in traces; `mcq-operator` or `mcq-service` by default. `OTEL_TRACES_SAMPLER` and
  `OTEL_TRACES_SAMPLER_ARG`: which requests are traced. OpenTelemetry defines all of them.
- `FORWARDED_ALLOW_IPS`: the proxies whose `X-Forwarded-*` headers the service believes ([API](api.md#behind-a-proxy)).
- `HF_TOKEN`, `HF_ENDPOINT`: the hub's credentials and address, for the service ([models](models.md#credentials)).
- `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`: credentials and address of `s3://`,
  for the service's models and exams and the operator's backups.
- `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`: for everything that the service fetches
  ([clusters](clusters.md#a-proxy-or-a-private-certificate-authority)).
- `MCQ_API_KEY`: the API key that `python -m mcq_service evaluate --url` and `exam sit` use.
- `MCQ_CACHE`: the directory of `python -m mcq_service model` and `make`. Its `models` has the prepared models, unless
  `MCQ_MODEL_CACHE` names another directory.
- `KUBECONFIG`: the cluster of `python -m mcq_operator backup`, `restore` and `exam report`.
"""
MEANINGS = {
    "port": "The port to listen on; 0: any free one.",
    "log_level": "The least severe level that is logged: DEBUG, INFO, WARNING or ERROR.",
    "model_uri": "The address of the model: [the schemes](models.md).",
    "model_revision": "The branch, tag or commit of an `hf://` repository. Unset: the commit that the service pins "
    "for its default model, else main.",
    "model_digest": "`sha256:…` of the model's files ([how to compute it](models.md#what-is-checked)); the service "
    "refuses any other files. Unset: none is required.",
    "model_precision": "The number format that the model computes in. auto: int8 on a CPU with AVX2 or ARM's dotprod; "
    "a float on a GPU or for an architecture that the int8 engine does not support. Floats need torch.",
    "model_cache": "The directory of the prepared models. Replicas of one node may share it.",
    "default_mode": "The [mode](api.md#ask-one-question) of questions that name none.",
    "max_reasoning_tokens": "The most tokens of reasoning for questions that name no limit.",
    "debias": "The [debiasing](api.md#debiasing) of questions that name none.",
    "max_queued_requests": "Requests that may wait; further ones get status 429. A batch counts as one.",
    "deadline_seconds": "Seconds that a question or a text may take; then it gets status 504.",
    "drain_seconds": "Seconds after SIGTERM in which admitted requests may finish; then the process ends.",
}
"""The meanings of the service's settings that have no description."""


def environment_page() -> str:
    """Return docs/environment.md."""
    return (
        HEADER
        + OPERATOR + TABLE + "".join(_rows(OperatorSettings))
        + SERVICE + TABLE + "".join(_rows(ServiceSettings))
        + OTHERS
    )  # fmt: skip


def _rows(settings: type[BaseSettings]) -> Iterator[str]:
    prefix = settings.model_config["env_prefix"]
    schemas = settings.model_json_schema()["properties"]
    for name, field in settings.model_fields.items():
        cells = (
            f"`{prefix}{name.upper()}`",
            _type(schemas[name]),
            _default(field.default),
            field.description or MEANINGS[name],
        )
        yield f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |\n"


def _type(schema: dict[str, Any]) -> str:
    """Describe the values in words."""
    if "anyOf" in schema:
        return _type(schema["anyOf"][0])
    if "enum" in schema:
        return ", ".join(schema["enum"])
    kind = "path" if schema.get("format") == "path" else str(schema["type"])
    if "maximum" in schema:
        return f"{kind}, {schema['minimum']} to {schema['maximum']}"
    bounds = {"minimum": "at least", "exclusiveMinimum": "more than"}
    limits = [f"{words} {schema[bound]}" for bound, words in bounds.items() if bound in schema]
    return ", ".join([{"array": "comma-separated list"}.get(kind, kind), *limits])


def _default(value: object) -> str:
    """Return a default as a user would write it, the same on every machine and for every release."""
    if value in (None, "", ()):
        return "unset" if value is None else "empty"
    if isinstance(value, ByteSize):
        return f"`{value.human_readable()}`"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text.replace(str(Path.home()), '~').replace(__version__, 'VERSION')}`"
