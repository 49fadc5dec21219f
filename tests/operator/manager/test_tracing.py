"""A running operator's metrics, health, log lines and traces."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.operator.conftest import Kubectl
from tests.operator.live import all_created, apply, own_host, until
from tests.operator.support import serving
from tests.operator.test_process import Operator

SLOW = 40.0


class Receiver:
    """An OTLP/HTTP receiver that records its requests."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def receive(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [
            span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    recorder = Receiver()
    async with serving("/v1/traces", recorder.receive) as url:
        yield recorder, url


@pytest.fixture
async def operator(
    kubectl: Kubectl, tmp_path: Path, receiver: tuple[Receiver, str]
) -> AsyncIterator[Operator]:
    operator = Operator(
        kubectl.kubeconfig,
        tmp_path / "operator.log",
        MCQ_OPERATOR_NAMESPACES=kubectl.namespace,
        MCQ_OPERATOR_VERIFY_SECONDS="0.5",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver[1],
        OTEL_BSP_SCHEDULE_DELAY="200",
    )
    await operator.start()
    yield operator
    with contextlib.suppress(ProcessLookupError):
        operator.process.kill()
    await operator.process.wait()


def samples(exposition: str, name: str) -> dict[str, float]:
    lines = [line for line in exposition.splitlines() if line.startswith(name)]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_the_metrics_show_its_work_and_fresh_watches(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: all_created(kubectl), SLOW)
    await operator.quiet()
    async with asyncio.timeout(SLOW):
        ages: dict[str, float] = {}
        while not ages:  # the watches are not verified yet
            _, exposition = await operator.get("/metrics")
            ages = samples(exposition, "mcq_operator_watch_age_seconds")
    assert {name.partition('"')[2].rstrip('"}') for name in ages} >= {
        "MCQSolver",
        "Pod",
        "Deployment",
        "Service",
    }
    assert set(ages.values()) == {0.0}
    assert sum(samples(exposition, "mcq_operator_reconciles_total").values()) > 0
    assert samples(exposition, 'mcq_operator_reconciles_total{outcome="failed"}') == {}
    assert samples(exposition, "mcq_operator_longest_running_reconcile_seconds ").popitem()[1] < 1
    ready = f'mcq_solver_ready{{name="demo",namespace="{kubectl.namespace}"}}'
    assert samples(exposition, "mcq_solver_ready{") == {ready: 0.0}
    assert await operator.get("/livez") == (200, "ok\n")


async def test_each_log_line_of_a_reconcile_names_the_solver_and_the_reconcile(
    kubectl: Kubectl, operator: Operator
) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: all_created(kubectl), SLOW)
    lines = [json.loads(line) for line in operator.log().splitlines()]
    applied = [line for line in lines if line["message"].startswith("applied ")]
    assert len(applied) >= 6
    assert {line["solver"] for line in applied} == {f"{kubectl.namespace}/demo"}
    assert all(len(line["reconcile"]) == 8 for line in applied)


async def test_a_reconcile_is_a_trace_of_its_requests(
    kubectl: Kubectl, operator: Operator, receiver: tuple[Receiver, str]
) -> None:
    apply(kubectl, own_host(kubectl))
    await until(lambda: all_created(kubectl), SLOW)
    await operator.quiet()
    actual = receiver[0].spans
    reconciles = {span.span_id: span for span in actual if span.name == "reconcile"}
    writes = [span for span in actual if span.name == "POST API server" and span.parent_span_id in reconciles]
    paths = {
        attribute.value.string_value
        for span in writes
        for attribute in span.attributes
        if attribute.key == "url.path"
    }
    assert f"/apis/apps/v1/namespaces/{kubectl.namespace}/deployments" in paths
    assert all(span.trace_id == reconciles[span.parent_span_id].trace_id for span in writes)
    names = {item.key: item.value.string_value for item in next(iter(reconciles.values())).attributes}
    assert names["mcq.solver.name"] == "demo"
    assert names["mcq.reconcile.outcome"] == "not_ready"
