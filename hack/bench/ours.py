"""The service itself, as a process, asked over HTTP as any client would."""

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

from hack.bench.processes import free_port, resident, running
from hack.bench.workload import Measured, Question, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Service:
    """A running replica; `start_seconds` from the process's start to /readyz."""

    url: str
    process: subprocess.Popen[bytes]
    start_seconds: float

    @property
    def memory(self) -> tuple[float, float]:
        """GiB now, and at most."""
        return resident(self.process)

    @property
    def engine(self) -> str:
        """What the replica says it computes with."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:  # noqa: S310
            text = response.read().decode()
        return str(text.partition("mcq_model_info{")[2].partition('engine="')[2].partition('"')[0])


def prepared(precision: str) -> Path:
    """The directory of the default model in this precision."""
    command: list[str | Path] = [ROOT / "hack/model", "--precision", precision]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@contextmanager
def service(precision: str, **settings: str) -> Iterator[Service]:
    """Start a replica with the default model in this precision, and these variables in its environment."""
    port = free_port()
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
    """Ask all of them, streamed, so many at once."""
    started = time.monotonic()
    with ThreadPoolExecutor(scenario.together) as pool:
        found = list(pool.map(lambda question: _ask(target.url, question, scenario.tokens), questions))
    wall = time.monotonic() - started
    return Measured(
        seconds=wall / len(questions),
        tokens=mean(answer["usage"]["completion_tokens"] for _, answer in found),
        first=median(first for first, _ in found),
    )


def _ask(url: str, question: Question, tokens: int) -> tuple[float, dict[str, Any]]:
    """Seconds to the event `answer`, and the whole answer."""
    extra = {"mode": "explain", "max_reasoning_tokens": tokens} if tokens else {"mode": "answer"}
    body = {"question": question["question"], "choices": question["choices"], "stream": True, **extra}
    request = urllib.request.Request(  # noqa: S310
        f"{url}/api/v1/mcq/answer", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started, first = time.monotonic(), 0.0
    with urllib.request.urlopen(request, timeout=900) as response:  # noqa: S310
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
