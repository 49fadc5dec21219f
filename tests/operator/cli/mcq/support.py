"""Runs the commands in this process, and plays the service and the API server."""

import asyncio
import base64
import gzip
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from unittest import mock

import pytest
from aiohttp import web
from tests.operator.support import serving

from mcq_operator.api import Manifest
from mcq_operator.cli.mcq import entry_points

PROGRAM = "from mcq_operator.cli.mcq.entry_points import mcq; mcq()"
"""`mcq` as a program of its own."""

QUESTION = ("Which object has a stable address?", "Pod", "Service")
DECISION: dict[str, Any] = {
    "id": "mcq-1",
    "model": "qwen",
    "mode": "explain",
    "answer": {"label": "B", "index": 1, "text": "Service"},
    "confidence": 0.75,
    "margin": 0.5,
    "abstained": False,
    "probabilities": [{"label": "A", "probability": 0.25}, {"label": "B", "probability": 0.75}],
    "trace_id": None,
}
DONE = {
    **DECISION,
    "reasoning": "It has a virtual IP.",
    "usage": {"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 0},
    "timings": {"queue_ms": 1.0, "answer_ms": 250.0, "total_ms": 1500.0},
}
DELTAS = [("reasoning", {"delta": "It has "}), ("reasoning", {"delta": "a virtual IP."})]
EXPLAINED = [("answer", DECISION), *DELTAS, ("done", DONE)]
SHOWN = """\
B: Service
  A   25.0%  █████                 Pod
> B   75.0%  ███████████████       Service

It has a virtual IP.

qwen, 0.25 s to the answer, 1.50 s in all
"""


class Service:
    """Plays the events to each request, and keeps the requests."""

    def __init__(self, *events: tuple[str, Any]) -> None:
        self.events = events
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer with the events."""
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for name, data in self.events:
            await response.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        return response


@asynccontextmanager
async def service(*events: tuple[str, Any]) -> AsyncIterator[tuple[Service, str]]:
    """Run a service that plays the events; yield it and its URL."""
    played = Service(*events)
    async with serving("/api/v1/mcq/answer", played.handle) as url:
        yield played, url


def problem(detail: str, **more: Any) -> dict[str, Any]:
    """Return a problem of the service."""
    kind = "https://mcq-operator.dev/problems/invalid-question"
    return {"type": kind, "title": "…", "status": 422, "detail": detail, **more}


GROUP = "/apis/mcq-operator.dev/v1alpha1/namespaces"
CHANGE = "fc49f5afe21ad61f"
DEMO: Manifest = {
    "metadata": {"name": "demo", "namespace": "default", "uid": "u", "generation": 3},
    "status": {
        "observedGeneration": 3,
        "replicas": 3,
        "readyReplicas": 2,
        "url": "http://mcq.localhost",
        "model": {"uri": "hf://Qwen/Qwen2.5"},
        "exam": {
            "name": "mmlu",
            "accuracy": 0.476,
            "ci95": {"low": 0.428, "high": 0.525},
            "count": 399,
            "sat": "2026-01-01T12:00:00Z",
        },
        "threshold": {
            "minConfidence": 0.625,
            "coverage": 0.41,
            "accuracy": 0.86,
            "interval": {"low": 0.812, "high": 0.903},
            "targetAccuracy": 0.8,
            "exam": "mmlu",
            "count": 399,
            "sat": "2026-01-01T12:00:00Z",
            "reportDigest": "a" * 64,
            "templateDigest": "b" * 64,
        },
        "gate": {
            "candidate": "c",
            "change": CHANGE,
            "generation": 3,
            "phase": "Refused",
            "replicaSet": "demo-1",
            "templateDigest": "t",
            "reason": "ExamNotPassed",
            "message": "Failed: accuracy 0.3.",
        },
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "ExamNotPassed", "message": "It did not pass."},
            {"type": "Available", "status": "True", "reason": "Answering", "message": "2 replica(s) answer."},
            {"type": "Progressing", "status": "False", "reason": "Complete", "message": "All run."},
            {"type": "Degraded", "status": "True", "reason": "ExamNotPassed", "message": "It did not pass."},
            {"type": "ExamPassed", "status": "Unknown", "reason": "NoChange", "message": "No change yet."},
            {
                "type": "Exposed",
                "status": "True",
                "reason": "NoKeysAndNoPolicy",
                "message": "Anyone\x1b[2J asks.",
            },
        ],
    },
}
AQUA: Manifest = {
    "metadata": {"name": "aqua", "namespace": "default", "uid": "e", "generation": 1},
    "spec": {"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "questions"}}},
    "status": {
        "solver": "demo",
        "summary": "0.476 (0.428-0.525)",
        "count": 399,
        "report": {"configMap": "aqua-results", "name": "aqua-1"},
        "conditions": [
            {"type": "Passed", "status": "Unknown", "reason": "Inconclusive", "message": "Too few."},
            {"type": "Complete", "status": "True", "reason": "Sat", "message": "Done."},
        ],
    },
}
RESULTS: Manifest = {
    "binaryData": {"aqua-1.report.txt.gz": base64.b64encode(gzip.compress(b"accuracy 0.476\n")).decode()}
}


class Cluster:
    """Plays an API server with these objects, by path, and keeps the writes."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {
            f"{GROUP}/default/mcqsolvers/demo": DEMO,
            f"{GROUP}/default/mcqsolvers": {"items": [DEMO]},
            f"{GROUP}/default/mcqexams/aqua": AQUA,
            f"{GROUP}/default/mcqexams": {"items": [AQUA]},
            "/api/v1/namespaces/default/configmaps/aqua-results": RESULTS,
        }
        self.applied: list[Manifest] = []
        self.service = Service(*EXPLAINED)
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as the API server does."""
        assert request.headers["Authorization"] == "Bearer secret"
        if request.path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
            return web.json_response({"status": {"userInfo": {"username": "alice@example.com"}}}, status=201)
        if request.path == "/api/v1/namespaces/default/services/demo:http/proxy/api/v1/mcq/answer":
            return await self.service.handle(request)
        if request.path not in self.objects:
            status = {"kind": "Status", "code": 404, "message": f"{request.path} not found"}
            return web.json_response(status, status=404)
        if request.method == "PATCH":
            assert request.content_type == "application/apply-patch+yaml"
            self.applied.append({"fieldManager": request.query["fieldManager"], **await request.json()})
        return web.json_response(self.objects[request.path])


class CommandResult(NamedTuple):
    """A command's exit status and output."""

    returncode: int
    stdout: str
    stderr: str


class Commands:
    """The programs `mcq` and `kubectl mcq`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def mcq(self, *arguments: str) -> CommandResult:
        """Run `mcq`."""
        return await self._run(entry_points.mcq, arguments)

    async def kubectl_mcq(self, *arguments: str) -> CommandResult:
        """Run `kubectl mcq`."""
        return await self._run(entry_points.kubectl_mcq, arguments)

    async def kubectl_complete(self, *arguments: str) -> CommandResult:
        """Run `kubectl_complete-mcq`."""
        return await self._run(entry_points.kubectl_complete, arguments)

    async def _run(self, program: Callable[[], None], arguments: tuple[str, ...]) -> CommandResult:
        with mock.patch.object(sys, "argv", ["program", *arguments]):
            # In another thread, because the program runs an event loop and the test's server needs this one.
            status = await asyncio.to_thread(_exit_status, program)
        return CommandResult(status, *self._capsys.readouterr())


def _exit_status(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError
