"""The service as a process, queried over HTTP like any client does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from hack.control_plane.instance import free_ports
from hack.toolchain.paths import ROOT

from benchmarks.servers import running
from benchmarks.service.workload import Measured, Question, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Service:
    """A running replica. `start_seconds` is the time from process start to a ready /readyz."""

    url: str
    process: subprocess.Popen[bytes]
    start_seconds: float

    @property
    def engine(self) -> str:
        """The engine that the replica reports in its metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            text = response.read().decode()
        return str(text.partition("mcq_model_info{")[2].partition('engine="')[2].partition('"')[0])


def prepared(precision: str) -> Path:
    """Return the directory of the default model in this precision."""
    command: list[str | Path] = [ROOT / "hack/model", "--precision", precision]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@contextmanager
def service(precision: str, **settings: str) -> Iterator[Service]:
    """Start a replica with the default model in this precision and these extra environment variables."""
    [port] = free_ports(1)
    environment = {
        "MCQ_PORT": str(port),
        "MCQ_MODEL_CACHE": str(prepared(precision).parent),
        "MCQ_MODEL_PRECISION": precision,
        "MCQ_MAX_QUEUED_REQUESTS": "256",
        "MCQ_DEADLINE_SECONDS": "600",
        **settings,
    }
    url = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-m", "mcq_service"], f"{url}/readyz", environment=environment) as (
        process,
        seconds,
    ):
        yield Service(url, process, seconds)


def measure(target: Service, scenario: Scenario, questions: Sequence[Question]) -> Measured:
    """Send all questions as streams, `scenario.together` at a time."""
    started = time.monotonic()
    with ThreadPoolExecutor(scenario.together) as pool:
        answers = list(pool.map(lambda question: _ask(target.url, question, scenario.tokens), questions))
    wall = time.monotonic() - started
    return Measured(
        seconds=wall / len(questions),
        tokens=mean(answer["usage"]["completion_tokens"] for _, answer in answers),
        first=median(first for first, _ in answers),
    )


def _ask(url: str, question: Question, tokens: int) -> tuple[float, dict[str, Any]]:
    """Return the seconds to the `answer` event, and the complete answer."""
    extra = {"mode": "explain", "max_reasoning_tokens": tokens} if tokens else {"mode": "answer"}
    body = {"question": question["question"], "choices": question["choices"], "stream": True, **extra}
    request = urllib.request.Request(
        f"{url}/api/v1/mcq/answer", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started, first = time.monotonic(), 0.0
    with urllib.request.urlopen(request, timeout=900) as response:
        event = ""
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "answer":
                first = time.monotonic() - started
            elif name == "data" and event == "done":
                return first, json.loads(value)
    raise RuntimeError("The stream ended without an answer.")
