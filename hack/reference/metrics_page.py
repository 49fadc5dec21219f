"""docs/metrics.md: the Prometheus metrics of both programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from mcq_operator.manager.metrics import Metrics as OperatorMetrics
from mcq_service.telemetry import Metrics as ServiceMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = """\
# Metrics

This page lists every Prometheus metric of both programs, by the names that queries use. `hack/generate` writes it from
the metrics that the programs register. [Observability](observability.md) says how Prometheus scrapes them, and which
dashboards and alerts use them.

`/metrics` of a replica is on its port `probes` (8081), of the operator on port 8081, and of a service without
`MCQ_PROBE_PORT` on its only port. A histogram `x` has the series `x_bucket`, `x_sum` and `x_count`. Durations are in
seconds. Both programs also have the `process_*` metrics of Prometheus' Python client; the service also has `python_*`.
"""
TABLE = """\
| metric | type | labels | meaning |
|---|---|---|---|
"""
SERVICE = """
## A replica of the service

Values of the labels:

- `mode`: `answer`, `explain`, `reason`, `completion`, `chat` or `decide`; `unknown` for a request that was refused
  before its mode was read.
- `outcome`: `answered`, `abstained`, or the type of the client's [problem](api.md#problems).
- `label`: the letter of the chosen choice; `other` for a label of two letters.
- `type` of `mcq_tokens_total`: `prompt` or `completion`.
- `gen_ai_*`: OpenTelemetry's. The operation is `text_completion` or `chat`, the type of tokens `input` or `output`.

`mcq_model_info` is 1 and has these labels once the model is loaded. Of a model on another server only `uri` and
`engine` are known; the other labels are empty.

- `uri`: the model's address, as in `model.uri`; of a model on another server, its name there.
- `revision`: the commit of the hub's repository; of another source an id for the version of its files.
- `digest`: `sha256:…` of the model's source files, as in `model.digest`.
- `precision`: the number format of the weights: `int8`, `bfloat16` or `float32`.
- `engine`: the engine and what it computes with: `cpu (int8, avx512_vnni)`, `transformers (bfloat16, cuda)` or
  `openai (ADDRESS)`, for example.

The metrics of API keys exist only if `MCQ_API_KEYS_FILE` is set.

"""
OPERATOR = """
## The operator

Values of the labels:

- `outcome` of a reconcile: `ready`, `not_ready`, `gone` (the resource was deleted), `invalid` (its spec can't be read)
  or `failed`.
- `namespace`, `name`: those of the solver or exam. `solver`: the solver that took the exam.
- `type`, `status`, `reason`: those of a condition; [Troubleshooting](troubleshooting.md) lists the reasons.
- `kind`, `method`: the object's kind, the HTTP method. `verb`: `create`, `apply`, `apply_status` or `delete`.

"""
LIBRARY = ("process_", "python_")
SUFFIXES = {"counter": "_total", "info": "_info"}


def metrics_page() -> str:
    """Return docs/metrics.md."""
    service = ServiceMetrics()
    service.watch_keys(accepted=int, invalid=int)
    operator = OperatorMetrics(CollectorRegistry())
    return (
        HEADER
        + SERVICE + TABLE + "".join(_rows(service.registry))
        + OPERATOR + TABLE + "".join(_rows(operator.registry))
    )  # fmt: skip


def _rows(registry: CollectorRegistry) -> Iterator[str]:
    """Yield a row for each metric of the program, in the order of registration."""
    labels = {}
    for collector in registry._collector_to_names:  # noqa: SLF001 - the library lists neither collectors nor labels
        for metric in collector.collect():
            labels[metric.name] = getattr(collector, "_labelnames", getattr(metric, "_labelnames", ()))
    for metric in registry.collect():
        if not metric.name.startswith(LIBRARY):
            names = ", ".join(f"`{name}`" for name in labels[metric.name])
            suffix = SUFFIXES.get(metric.type, "")
            yield f"| `{metric.name}{suffix}` | {metric.type} | {names} | {metric.documentation} |\n"
