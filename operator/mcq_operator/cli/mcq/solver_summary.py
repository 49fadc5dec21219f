"""`kubectl mcq status`: a solver's status in a few lines."""

from collections.abc import Iterator

from pydantic import BaseModel

from mcq_operator.api import Condition, LastExam, Manifest, MCQSolver
from mcq_operator.api.solver_status import Threshold
from mcq_operator.api.text import one_line
from mcq_operator.cli.terminal import BOLD, GREEN, RED, YELLOW, styled, write_styled

GOOD_IF_FALSE = frozenset({"Progressing", "Degraded", "Exposed"})
"""Conditions that are good if they are False; all others are good if they are True."""
NOT_EXAMINED = "NoChange"
"""ExamPassed is Unknown for this reason until the first change: there is nothing to do."""


def summary(solver: MCQSolver) -> Manifest:
    """Return the main facts of a solver's status."""
    status = solver.status
    return {
        "name": solver.name,
        "namespace": solver.namespace,
        "ready": status.is_true("Ready"),
        "available": status.is_true("Available"),
        "upToDate": bool(status.conditions) and status.observed_generation == solver.metadata.generation,
        "replicas": status.replicas,
        "readyReplicas": status.ready_replicas,
        "model": status.model.uri if status.model else None,
        "url": status.url or None,
        "exam": _json(status.exam),
        "threshold": _json(status.threshold),
        "gate": _json(status.gate),
        "attention": [_json(each) for each in _attention(solver)],
    }


def write(solver: MCQSolver) -> None:
    """Write the summary for people."""
    status = solver.status
    ready = status.is_true("Ready")
    state = (
        "ready" if ready else "not ready, but answers" if status.is_true("Available") else "does not answer"
    )
    colour = GREEN if ready else YELLOW if status.is_true("Available") else RED
    write_styled(styled(solver.name, BOLD), "  ", styled(state, colour))
    facts = {
        "replicas": f"{status.ready_replicas} of {status.replicas} ready",
        "model": status.model.uri if status.model else "",
        "URL": status.url,
        "accuracy": _accuracy(status.exam) if status.exam else "",
        "threshold": _threshold(status.threshold) if status.threshold else "",
        "gate": f"{status.gate.phase} ({status.gate.reason})" if status.gate else "",
    }
    for name, fact in facts.items():
        if fact:
            write_styled(styled(f"  {name + ':':<10} {one_line(fact)}"))
    for message in _messages(solver):
        write_styled(styled(f"  {message}", YELLOW))


def _messages(solver: MCQSolver) -> Iterator[str]:
    """Yield the distinct messages of the conditions that need attention, each with the conditions' names."""
    status = solver.status
    if not status.conditions:
        yield "The operator has not reported a status yet."
    elif status.observed_generation != solver.metadata.generation:
        yield "The operator has not observed the last change of the spec yet."
    names: dict[str, list[str]] = {}
    for each in _attention(solver):
        names.setdefault(one_line(each.message), []).append(f"{each.type} {each.status}")
    for message, types in names.items():
        yield f"{', '.join(types)}: {message}"


def _attention(solver: MCQSolver) -> list[Condition]:
    return [each for each in solver.status.conditions if needs_attention(each)]


def _accuracy(exam: LastExam) -> str:
    return f"{exam.accuracy:.3f} ({exam.ci95.low:.3f} to {exam.ci95.high:.3f}) of {exam.count} questions, {exam.name}"


def _threshold(threshold: Threshold) -> str:
    interval = threshold.interval
    return (
        f"{threshold.min_confidence:.3f}: {threshold.coverage:.0%} of the questions answered, "
        f"{threshold.accuracy:.3f} ({interval.low:.3f} to {interval.high:.3f}) of them right, {threshold.exam}"
    )


def _json(model: BaseModel | None) -> Manifest | None:
    return model.model_dump(by_alias=True, exclude_none=True) if model else None


def needs_attention(condition: Condition) -> bool:
    """Return whether the condition does not have its good status, unless the reason is NOT_EXAMINED."""
    good = "False" if condition.type in GOOD_IF_FALSE else "True"
    return condition.status != good and condition.reason != NOT_EXAMINED
