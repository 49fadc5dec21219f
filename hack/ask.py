"""Ask a running service one question and show the answer."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from mcq_service.runtime.terminal import printable

QUESTION = {
    "question": "In Kubernetes, which object gives a set of pods one stable virtual IP address and DNS name?",
    "choices": ["Deployment", "Service", "ConfigMap", "PersistentVolumeClaim"],
}
PATH = "/api/v1/mcq/answer"


def ask(
    url: str,
    question: dict[str, Any],
    *,
    key: str | None = None,
    address: str | None = None,
    timeout: float = 120,
) -> dict[str, Any]:
    """Send the question to the service at `url`.

    `address` is the server to connect to instead of the URL's host. Without it, `*.localhost` is this machine, as in
    browsers and curl. Raises urllib.error.HTTPError for a problem response and urllib.error.URLError if no server
    answers.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    if not address:
        address = _loopback(parts.port or 80) if is_local(url) else host
    request = urllib.request.Request(
        f"{parts.scheme}://{address}{port}{parts.path.rstrip('/')}{PATH}",
        data=json.dumps(question).encode(),
        headers={
            "Content-Type": "application/json",
            "Host": f"{host}{port}",
            **({"Authorization": f"Bearer {key}"} if key else {}),
        },
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def is_local(url: str) -> bool:
    """Return whether the URL's host is `*.localhost`, which no DNS server resolves."""
    return (urlsplit(url).hostname or "").endswith(".localhost")


def _loopback(port: int) -> str:
    """Return this machine's address that listens on the port. An IPv6 cluster's Ingress listens on ::1 only."""
    with socket.socket() as connection:
        return "127.0.0.1" if connection.connect_ex(("127.0.0.1", port)) == 0 else "[::1]"


def render(question: dict[str, Any], answer: dict[str, Any]) -> str:
    """Return the question with a probability bar for each choice, then the answer and its reasoning."""
    lines, chosen = [question["question"], ""], answer["answer"]
    for choice, row in zip(question["choices"], answer["probabilities"], strict=True):
        probability = row["probability"]
        mark = ">" if chosen and row["label"] == chosen["label"] else " "
        lines.append(
            f"{mark} {row['label']}) {choice:<28} {probability:6.1%} {'█' * round(probability * 30)}"
        )
    timings = answer["timings"]
    lines += [
        "",
        f"answer:    {chosen['label']} ({chosen['text']})" if chosen else "answer:    none: it abstained",
        f"reasoning: {answer['reasoning']}",
        f"time:      {timings['answer_ms'] / 1000:.2f} s to the answer, {timings['total_ms'] / 1000:.2f} s in all",
    ]
    return printable("\n".join(lines))
