"""Measures the service on this machine: `python -m hack.bench [--exam FILE.jsonl] [--questions N]`.

Starts one replica with the real model on a loopback port, asks each question once in each mode, one at a time and
several at once, all in one run, and prints seconds a question.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from hack.ask import ask

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 600
REASONING_TOKENS = 26
TOGETHER = 4
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def questions(exam: Path | None, count: int) -> list[dict[str, Any]]:
    """`count` questions: of the exam ({"question", "choices"} a line), else sums, which need no file."""
    if exam:
        rows = [json.loads(line) for line in exam.read_text().splitlines()[:count]]
        return [{"question": row["question"], "choices": row["choices"]} for row in rows]
    return [
        {
            "question": f"What is {17 + i} + {25 + 3 * i}?",
            "choices": [str(42 + 4 * i + d) for d in (1, 0, 10, 5)],
        }
        for i in range(count)
    ]


def measure(url: str, asked: list[dict[str, Any]], *, mode: str, together: int) -> dict[str, Any]:
    """Ask all of them, `together` at once; seconds a question overall, and each request's own."""
    extra = {"mode": mode} | ({"max_reasoning_tokens": REASONING_TOKENS} if mode == "explain" else {})

    def one(question: dict[str, Any]) -> float:
        started = time.monotonic()
        ask(url, question | extra)
        return time.monotonic() - started

    started = time.monotonic()
    with ThreadPoolExecutor(together) as pool:
        seconds = list(pool.map(one, asked))
    wall = time.monotonic() - started
    return {
        "mode": mode,
        "together": together,
        "seconds_per_question": round(wall / len(asked), 3),
        "p50_seconds": round(median(seconds), 3),
        "p95_seconds": round(quantiles(seconds, n=20)[-1], 3),
    }


def main() -> int:
    """Run and print a table; the figures as JSON go to build/bench.json."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench", description=__doc__)
    parser.add_argument("--exam", type=Path)
    parser.add_argument("--questions", type=int, default=16)
    options = parser.parse_args()
    asked = questions(options.exam, options.questions)
    store = subprocess.run(
        [ROOT / "hack/model"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "MCQ_PORT": str(port), "MCQ_MODEL_CACHE": str(Path(store).parent)}
    service = subprocess.Popen(
        [sys.executable, "-m", "mcq_service"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        _wait(url, service)
        rows = [measure(url, asked, mode=m, together=t) for m in ("answer", "explain") for t in (1, TOGETHER)]
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(60)
    _print(rows, len(asked))
    return 0


def _print(rows: list[dict[str, Any]], count: int) -> None:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next(line.partition(": ")[2] for line in cpuinfo.splitlines() if line.startswith("model name"))
    flags = [flag for flag in FLAGS if f" {flag} " in cpuinfo.replace("\n", " ")]
    print(
        f"{model}, {os.cpu_count()} CPUs, {' '.join(flags)}; {count} questions, explain: {REASONING_TOKENS} tokens"
    )
    print(f"{'mode':8} {'at once':>7} {'s/question':>11} {'p50 s':>7} {'p95 s':>7}")
    for row in rows:
        print(
            f"{row['mode']:8} {row['together']:>7} {row['seconds_per_question']:>11.3f} "
            f"{row['p50_seconds']:>7.2f} {row['p95_seconds']:>7.2f}"
        )
    target = ROOT / "build/bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"cpu": model, "flags": flags, "questions": count, "rows": rows}, indent=2))


def _wait(url: str, service: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if service.poll() is not None:
            sys.exit(
                f"The service ended with exit code {service.returncode}: start it with `make serve` to see why."
            )
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"The service was not ready within {START_SECONDS} s.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
