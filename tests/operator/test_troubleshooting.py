"""docs/troubleshooting.md names every reason that a condition can have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mcq_operator.status

PAGE = Path(__file__).resolve().parents[2] / "docs/troubleshooting.md"
CONDITIONS = {
    *("Available", "Ready", "Progressing", "Degraded", "ModelLoaded", "ScalingReady", "MonitoringReady"),
    *("IngressReady", "RouteAccepted", "Exposed", "APIKeysReady", "ExamPassed", "ThresholdReady"),
}
KUBERNETES = {
    *("ContainerCreating", "PodInitializing", "CrashLoopBackOff", "OOMKilled", "PodScheduled", "Succeeded"),
    *("PodFailurePolicy", "AbleToScale", "ScalingActive", "ResolvedRefs", "Normal", "Warning"),
    *("HorizontalPodAutoscaler", "ScaledObject", "FailedScheduling", "SuccessfulCreate"),
    *("Pulling", "Pulled", "Created", "Started"),
}
OTHERS = {"True", "False", "Unknown", "Reconcile", "OpenAI", "Refused"}
"""Statuses of conditions, an Event's action, an engine and a gate's phase."""


def reasons() -> Iterator[str]:
    """Yield each capitalised word in the code of the conditions, and the reasons that the code composes."""
    for path in Path(mcq_operator.status.__file__).parent.rglob("*.py"):
        words = [
            node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
        ]
        yield from (word for word in words if isinstance(word, str) and re.fullmatch("[A-Z][A-Za-z]+", word))
    yield from (f"{attempt}{end}" for attempt in ("Apply", "Delete", "Read") for end in ("Refused", "Failed"))


def test_the_page_names_every_reason() -> None:
    page = PAGE.read_text()
    emitted = set(reasons()) - CONDITIONS - KUBERNETES - OTHERS
    assert {"Conflict", "ApplyFailed", "Answering"} < emitted
    assert sorted(reason for reason in emitted if f"`{reason}`" not in page) == []
