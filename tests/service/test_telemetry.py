import json
import logging

import httpx
import pytest
from tests.service.fakes import ANSWER, QUESTION, Replica, sample

from mcq_service.engines import PromptTooLong
from mcq_service.lifecycle import Status
from mcq_service.telemetry.logs import JSONFormatter

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("status", ["fetching", "converting", "loading", "warming", "failed"])
async def test_the_probes_say_how_far_the_start_is(
    replica: Replica, client: httpx.AsyncClient, status: str
) -> None:
    """Alive, but neither started nor ready."""
    replica.lifecycle.report(Status(status), 0.25, "A quarter.")
    for path, code in {"/startupz": 503, "/readyz": 503, "/livez": 200}.items():
        response = await client.get(path)
        assert (response.status_code, response.json()) == (
            code,
            {"status": status, "detail": "A quarter.", "progress": 0.25},
        )


async def test_a_loaded_replica_passes_all_probes(replica: Replica, client: httpx.AsyncClient) -> None:
    """Ready is what /readyz says."""
    replica.load()
    for path in ("/startupz", "/readyz", "/livez"):
        response = await client.get(path)
        assert (response.status_code, response.json()["status"]) == (200, "ready")


async def test_a_dead_engine_fails_liveness_and_readiness(
    replica: Replica, client: httpx.AsyncClient
) -> None:
    """Kubernetes restarts what can't answer any more."""
    replica.load()
    replica.scheduler.stop()
    assert [(await client.get(path)).status_code for path in ("/livez", "/readyz")] == [503, 503]


async def test_metrics_are_openmetrics_and_move(replica: Replica, client: httpx.AsyncClient) -> None:
    """Counters by outcome, tokens, durations, the model, with the trace as exemplar."""
    replica.load()
    replica.metrics.model_loaded(uri="hf://fake/model", revision="r", digest="sha256:0", precision="float32")
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
    assert 'mcq_model_info{digest="sha256:0"' in response.text


@pytest.mark.parametrize(
    ("body", "media_type", "outcome"),
    [
        ("{", "application/json", "malformed-body"),
        ("{}", "application/json", "invalid-question"),
        ("{}", "text/plain", "unsupported-media-type"),
        (" " * 70_000, "application/json", "body-too-large"),
    ],
)
async def test_every_refusal_is_counted(
    replica: Replica, client: httpx.AsyncClient, body: str, media_type: str, outcome: str
) -> None:
    """Also one whose mode was never read."""
    replica.load()
    await client.post(ANSWER, content=body, headers={"Content-Type": media_type})
    assert await sample(client, f'mcq_requests_total{{mode="unknown",outcome="{outcome}"}}') == 1


async def test_a_trace_spans_the_request_and_its_steps(replica: Replica, client: httpx.AsyncClient) -> None:
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
    """Kubernetes asks every few seconds."""
    for path in ("/startupz", "/readyz", "/livez", "/metrics"):
        await client.get(path)
    assert not replica.spans.get_finished_spans()


@pytest.mark.parametrize("error", [None, RuntimeError("broken"), PromptTooLong("too long")])
async def test_no_text_of_a_client_is_in_logs_or_spans(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    """Neither of questions that are answered, nor of those that fail or are refused."""
    caplog.set_level(logging.DEBUG)
    replica.engine.error = error
    replica.load()
    private = {"question": "private question?", "choices": ["private x", "private y"]}
    for change in ({}, {"private": "private"}, {"mode": "private"}, {"choices": ["private", "private"]}):
        await client.post(ANSWER, json={**private, **change})
    await client.post(ANSWER, content=b'{"question": "private', headers=JSON)
    assert replica.engine.users == ["private question?\n\nA) private x\nB) private y"]
    logged = "\n".join(JSONFormatter().format(record) for record in caplog.records)
    spans = "\n".join(span.to_json() for span in replica.spans.get_finished_spans())
    assert "prefill" in spans
    assert "private" not in logged + spans


async def test_logs_in_a_request_carry_its_trace(
    replica: Replica, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure can be found in the traces."""
    made = []
    logger = logging.getLogger("mcq_service")
    handler = logging.Handler()
    handler.emit = lambda record: made.append(json.loads(JSONFormatter().format(record)))  # type: ignore[method-assign]
    logger.addHandler(handler)
    replica.engine.error = RuntimeError("broken")
    replica.load()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    await client.post(ANSWER, json=QUESTION, headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    logger.removeHandler(handler)
    assert [(line["level"], line["trace_id"]) for line in made] == [("error", trace_id)]
