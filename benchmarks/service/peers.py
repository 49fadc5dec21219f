"""Today's alternatives on the same weights: programs in a directory that the user names.

`llama-server MODEL.gguf PORT SLOTS` serves llama.cpp's HTTP API; `openvino MODEL.gguf EXAM.jsonl N TOKENS OFFSET
one|batch` asks N questions from an offset of the exam in the workload's order, and prints {"seconds_per_question"}.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from hack.control_plane.instance import free_ports

from benchmarks.servers import running
from benchmarks.service.workload import Measured, Question, Scenario, offsets
from mcq_service.api.mcq.question_schemas import Question as Wire
from mcq_service.prompts import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WARM_UP = {"question": "What colour is a clear sky?", "choices": ["blue", "green"]}


@contextmanager
def llama_server(peers: Path, model: Path, slots: int) -> Iterator[str]:
    """Start llama-server, let every slot read the prompts' constant prefix once, and yield the server's address."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with running([peers / "llama-server", model, str(port), str(slots)], f"{url}/health"):
        with ThreadPoolExecutor(slots) as pool:
            list(pool.map(lambda _: _complete(url, WARM_UP, 1), range(slots)))
        yield url


def measure(url: str, scenario: Scenario, questions: Sequence[Question], *, tokens: int) -> Measured:
    """Send our own prompt; llama-server caches its prefix and writes `tokens` per question."""
    started = time.monotonic()
    with ThreadPoolExecutor(scenario.together) as pool:
        firsts = list(pool.map(lambda question: _complete(url, question, tokens), questions))
    wall = time.monotonic() - started
    return Measured(seconds=wall / len(questions), tokens=tokens, first=median(firsts))


def openvino(peers: Path, model: Path, exam: Path, scenario: Scenario, *, tokens: int) -> Measured:
    """Run OpenVINO GenAI: one batch with continuous batching and prefix cache, or one question at a time."""
    how = "one" if scenario.together == 1 else "batch"
    command: list[str | Path] = [
        peers / "openvino", model, exam, str(scenario.questions), str(tokens), str(offsets()[scenario.name]), how,
    ]  # fmt: skip
    printed = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    report = json.loads(printed.stdout.strip().splitlines()[-1])
    return Measured(seconds=report["seconds_per_question"], tokens=tokens)


def _complete(url: str, question: Question, tokens: int) -> float:
    """Return the seconds to the first token; read the streamed completion to its end."""
    wire = Wire(question=question["question"], choices=question["choices"])
    body = {
        "prompt": render(wire).text,
        "n_predict": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": True,
        "stream": True,
    }
    request = urllib.request.Request(
        f"{url}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started, first = time.monotonic(), 0.0
    with urllib.request.urlopen(request, timeout=900) as response:
        for line in response:
            if not first and line.startswith(b"data:"):
                first = time.monotonic() - started
    return first
