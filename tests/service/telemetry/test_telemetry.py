"""Probes, metrics, traces and logs of a replica."""

import asyncio
import json
import logging
import re
import socket
from itertools import product
from typing import get_args

import httpx
import pytest
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags
from tests.service.fakes import ANSWER, QUESTION, Replica, sample

from mcq_service.api import problems
from mcq_service.api.http.body import MAX_BYTES
from mcq_service.api.mcq import question_schemas
from mcq_service.api.service.schemas import Identity
from mcq_service.engine import PromptTooLong
from mcq_service.mcq import typed_questions
from mcq_service.openai import generation
from mcq_service.runtime.lifecycle import Status
from mcq_service.telemetry import Metrics, Tracing
from mcq_service.telemetry.exam_requests import EXAM
from mcq_service.telemetry.logs import JSONFormatter

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("status", ["fetching", "converting", "loading", "warming", "failed"])
async def test_the_probes_report_the_progress_of_the_start(
    replica: Replica, client: httpx.AsyncClient, status: str
) -> None:
    """The replica is alive, but neither started nor ready."""
    replica.lifecycle.report(Status(status), 0.25, "A quarter.")
    for path, code in {"/startupz": 503, "/readyz": 503, "/livez": 200}.items():
        response = await client.get(path)
        assert (response.status_code, response.json()) == (
            code,
            {"status": status, "detail": "A quarter.", "progress": 0.25, "api_keys": None},
        )


async def test_a_loaded_replica_passes_all_probes(replica: Replica, client: httpx.AsyncClient) -> None:
    """/readyz reports that it is ready."""
    replica.load()
    for path in ("/startupz", "/readyz", "/livez"):
        response = await client.get(path)
        assert (response.status_code, response.json()["status"]) == (200, "ready")


async def test_a_dead_engine_fails_liveness_and_readiness(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """Kubernetes restarts a replica that can't answer any more."""
    replica.load()
    replica.alive = False
    assert [(await client.get(path)).status_code for path in ("/livez", "/readyz")] == [503, 503]


def test_failures_are_counted_from_zero() -> None:
    """Prometheus does not see the first failure of a series that begins with it."""
    exposed = Metrics().exposition().decode()
    modes = {*get_args(question_schemas.Mode), *get_args(generation.Mode), typed_questions.MODE, "unknown"}
    known = [each for each in vars(problems).values() if hasattr(each, "slug")]
    failures = {
        each.slug for each in known if each.status == 429 or (each.status >= 500 and each.status != 501)
    }
    assert set(re.findall(r'mcq_requests_total{mode="(.*)",outcome="(.*)"} 0.0', exposed)) == {
        *product(modes, failures)
    }


async def test_metrics_are_openmetrics_and_change_with_requests(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """They count outcomes and tokens, measure durations, name the model, and have the trace as exemplar."""
    replica.load()
    model = Identity(
        uri="hf://fake/model", revision="r", digest="sha256:0", precision="float32", prompt_digest="sha256:1"
    )
    replica.metrics.model_loaded(model, engine="fake")
    trace_id = (await client.post(ANSWER, json=QUESTION)).json()["trace_id"]
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="answered"}') == 1
    assert await sample(client, 'mcq_tokens_total{type="prompt"}') == 30
    assert await sample(client, 'mcq_tokens_total{type="completion"}') == 3
    assert await sample(client, "mcq_prefix_cache_tokens_total") == 20
    assert await sample(client, 'mcq_request_duration_seconds_count{mode="explain"}') == 1
    assert await sample(client, 'mcq_answer_duration_seconds_count{mode="explain"}') == 1
    assert f'# {{trace_id="{trace_id}"}}' in response.text
    assert 'mcq_model_info{digest="sha256:0",engine="fake"' in response.text
    assert await sample(client, 'mcq_answers_total{label="B"}') == 1
    model_labels = 'gen_ai_operation_name="text_completion",gen_ai_request_model="fake/model"'
    for name in ("request_duration", "time_to_first_token", "time_per_output_token"):
        assert await sample(client, f"gen_ai_server_{name}_seconds_count{{{model_labels}}}") == 1
    for kind, tokens in (("input", 30), ("output", 3)):
        of_kind = f'{model_labels},gen_ai_token_type="{kind}"'
        assert await sample(client, f"gen_ai_client_token_usage_sum{{{of_kind}}}") == tokens


async def test_an_abstention_is_an_outcome_of_its_own(replica: Replica, client: httpx.AsyncClient) -> None:
    """It is counted by mode, and no letter is counted."""
    replica.load(min_confidence=0.9)
    await client.post(ANSWER, json=QUESTION)
    assert await sample(client, 'mcq_abstentions_total{mode="explain"}') == 1
    assert await sample(client, 'mcq_requests_total{mode="explain",outcome="abstained"}') == 1
    assert "mcq_answers_total{" not in (await client.get("/metrics")).text


async def test_the_traffic_has_the_sums_for_the_operator(replica: Replica, client: httpx.AsyncClient) -> None:
    """Before the first question they are empty. An exam's questions are no user's."""
    replica.load(min_confidence=0.6)
    assert (await client.get("/trafficz")).json() == {"outcomes": {}, "modes": {}}
    await client.post(ANSWER, json=QUESTION)
    await client.post(ANSWER, json={**QUESTION, "mode": "answer", "min_confidence": 0.9})
    await client.post(ANSWER, json={"question": "?"})
    traffic = (await client.get("/trafficz")).json()
    assert traffic["outcomes"] == {"answered": 1, "abstained": 1, "invalid-question": 1}
    assert {mode: each["questions"] for mode, each in traffic["modes"].items()} == {"explain": 1, "answer": 1}
    assert traffic["modes"]["explain"]["seconds"] > 0


async def test_an_exam_counts_as_tokens_only(replica: Replica, client: httpx.AsyncClient) -> None:
    """Its queues and abstentions would fire the alerts on what users get, and end a roll-out."""
    replica.load(min_confidence=0.99)
    before = (await client.get("/metrics")).text
    decision = {
        "input": "Fire is hot.",
        "questions": [{"type": "predicate", "instructions": "It is warm."}],
    }
    assert (await client.post(ANSWER, json=QUESTION, headers=dict([EXAM]))).json()["abstained"]
    assert (await client.post(ANSWER, json={"question": "?"}, headers=dict([EXAM]))).is_client_error
    assert (await client.post("/v1/decisions", json=decision, headers=dict([EXAM]))).is_success
    changed = {
        line.partition("{")[0].partition(" ")[0]
        for line in set((await client.get("/metrics")).text.splitlines()) - set(before.splitlines())
        if line.startswith("mcq_")
    }
    assert changed == {"mcq_tokens_total", "mcq_prefix_cache_tokens_total"}
    assert (await client.get("/trafficz")).json() == {"outcomes": {}, "modes": {}}


def test_a_batch_span_belongs_to_no_request_and_links_all_of_them(replica: Replica) -> None:
    """The batch's time is in no request's trace, but each trace links to it."""
    requests = [SpanContext(trace_id, 1, is_remote=False, trace_flags=TraceFlags(1)) for trace_id in (1, 2)]
    replica.tracing.step(since_ns=5, requests=requests, **{"mcq.batch.size": 2})
    [span] = replica.spans.get_finished_spans()
    assert (span.name, span.parent, span.start_time) == ("batch", None, 5)
    assert [link.context.trace_id for link in span.links] == [1, 2]
    replica.tracing.step(since_ns=5, requests=[])
    assert len(replica.spans.get_finished_spans()) == 1, "a step without a traced request makes no span"


@pytest.mark.parametrize(
    ("body", "media_type", "outcome"),
    [
        ("{", "application/json", "malformed-body"),
        ("{}", "application/json", "invalid-question"),
        ("{}", "text/plain", "unsupported-media-type"),
        (" " * (MAX_BYTES + 1), "application/json", "body-too-large"),
    ],
)
async def test_every_refusal_is_counted(
    replica: Replica, client: httpx.AsyncClient, body: str, media_type: str, outcome: str
) -> None:
    """A refusal counts even if its mode was never read."""
    replica.load()
    await client.post(ANSWER, content=body, headers={"Content-Type": media_type})
    assert await sample(client, f'mcq_requests_total{{mode="unknown",outcome="{outcome}"}}') == 1


async def test_a_trace_contains_the_request_and_its_steps(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The steps are children of the HTTP span, which continues the client's trace."""
    replica.load()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    assert (await client.post(ANSWER, json=QUESTION, headers=headers)).json()["trace_id"] == trace_id
    spans = {span.name: span for span in replica.spans.get_finished_spans()}
    assert spans.keys() == {f"POST {ANSWER}", "admit", "prefill", "decode", "parse"}
    server = spans.pop(f"POST {ANSWER}")
    for span in spans.values():
        assert span.parent is not None
        assert span.parent.span_id == server.context.span_id
        assert f"{span.context.trace_id:032x}" == trace_id


async def test_probes_make_no_spans(replica: Replica, client: httpx.AsyncClient) -> None:
    """Kubernetes probes every few seconds."""
    for path in ("/startupz", "/readyz", "/livez", "/health", "/metrics"):
        await client.get(path)
    assert not replica.spans.get_finished_spans()


@pytest.mark.parametrize("error", [None, RuntimeError("broken"), PromptTooLong("too long")])
async def test_no_client_text_is_in_logs_or_spans(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    """This holds for answered, failed and refused questions."""
    caplog.set_level(logging.DEBUG)
    replica.texts.error = error
    replica.load()
    private = {"question": "private question?", "choices": ["private x", "private y"]}
    for change in ({}, {"private": "private"}, {"mode": "private"}, {"choices": ["private", "private"]}):
        await client.post(ANSWER, json={**private, **change})
    await client.post(ANSWER, content=b'{"question": "private', headers=JSON)
    for path in (ANSWER, "/v1/models/private", "/page/private", "/private"):
        for method in ("GET", "POST", "PRIVATE"):
            headers = {"user-agent": "private", "host": "private.example", "private": "private"}
            await client.request(method, f"{path}?question=private", headers=headers)
    assert [prompt.choices for prompt in replica.texts.read] == ["A) private x\nB) private y"]
    ours = [record for record in caplog.records if record.name != "httpx"]  # the test's own client
    logged = "\n".join(JSONFormatter().format(record) for record in ours)
    spans = "\n".join(span.to_json() for span in replica.spans.get_finished_spans())
    assert "prefill" in spans
    assert "private" not in logged + spans


async def test_logs_in_a_request_carry_its_trace(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """So the traces lead to the logs of a failure."""
    lines = []
    logger = logging.getLogger("mcq_service")
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(JSONFormatter().format(record)))  # type: ignore[method-assign]
    logger.addHandler(handler)
    replica.texts.error = RuntimeError("broken")
    replica.load()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    await client.post(ANSWER, json=QUESTION, headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    logger.removeHandler(handler)
    assert [(line["level"], line["trace_id"]) for line in lines] == [("error", trace_id)]


@pytest.mark.parametrize("sampler", ["parentbased_traceidratio", "traceidratio"])
@pytest.mark.parametrize(
    ("ratio", "caller", "traced"),
    [("0", "", False), ("0", "01", False), ("0", "00", False), ("1", "01", True)],
)
async def test_no_caller_raises_the_sampling_ratio(
    monkeypatch: pytest.MonkeyPatch, sampler: str, ratio: str, caller: str, traced: bool
) -> None:
    """spec.tracing sets OpenTelemetry's own variables."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-{caller}"} if caller else {}
    replica = Replica()
    replica.load()
    async with replica.client() as client:
        answer = (await client.post(ANSWER, json=QUESTION, headers=headers)).json()
    replica.close()
    assert answer["answer"]["label"] == "B"
    assert answer["trace_id"] == (trace_id if traced else None)
    assert bool(replica.spans.get_finished_spans()) == traced


@pytest.mark.parametrize(("caller", "traced"), [("01", range(20, 81)), ("00", range(1))])
def test_a_caller_controls_neither_the_ratio_nor_the_choice(
    monkeypatch: pytest.MonkeyPatch, caller: str, traced: range
) -> None:
    """Of 100 requests with an id that any ratio samples, half are traced, or none if the caller samples none."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    replica = Replica()
    for _ in range(100):
        headers = {"traceparent": f"00-{1:032x}-b7ad6b7169203331-{caller}", "tracestate": "vendor=1"}
        with replica.tracing.request("GET", headers), replica.tracing.span("inner"):
            pass
    spans = replica.spans.get_finished_spans()
    replica.close()
    assert {span.context.trace_state.get("vendor") for span in spans} <= {"1"}
    assert len([span for span in spans if span.name == "GET"]) in traced
    assert len([span for span in spans if span.name == "GET"]) == len(spans) / 2


async def test_the_requests_span_has_its_method_route_and_status(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """The route is its template, and only the service's own errors count as errors."""
    replica.load()
    replica.texts.error = RuntimeError("broken")
    await client.post(ANSWER, json=QUESTION)
    await client.head("/v1/models/some/model")
    await client.get("/nothing")
    spans = {span.name: span for span in replica.spans.get_finished_spans() if span.kind is SpanKind.SERVER}
    observed = {name: (dict(span.attributes or {}), span.status.status_code) for name, span in spans.items()}
    scheme = {"url.scheme": "http"}
    assert observed == {
        f"POST {ANSWER}": (
            {**scheme, "http.request.method": "POST", "http.route": ANSWER, "http.response.status_code": 500},
            StatusCode.ERROR,
        ),
        "HEAD /v1/models/{model:path}": (
            {
                **scheme,
                "http.request.method": "HEAD",
                "http.route": "/v1/models/{model:path}",
                "http.response.status_code": 404,
            },
            StatusCode.UNSET,
        ),
        "GET": (
            {**scheme, "http.request.method": "GET", "http.response.status_code": 404},
            StatusCode.UNSET,
        ),
    }


async def test_a_missing_collector_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions are answered with their trace's id, and the end does not wait for the collector."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    replica = Replica(tracing=Tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}))
    replica.load()
    async with replica.client() as client:
        for _ in range(20):
            answer = (await client.post(ANSWER, json=QUESTION)).json()
            assert answer["answer"]["label"] == "B"
            assert len(answer["trace_id"]) == 32
    async with asyncio.timeout(10):
        await asyncio.to_thread(replica.tracing.shutdown)
    replica.close()
