"""What Prometheus computes of a solver's metrics, and warns of.

Burn rates by several windows: https://sre.google/workbook/alerting-on-slos/
"""

from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import PROMETHEUS_RULE, Kind

from .manifest import manifest
from .monitoring import is_on

FAILED = (
    "bad-engine",
    "deadline-exceeded",
    "draining",
    "internal-error",
    "not-ready",
    "out-of-memory",
    "overloaded",
)
"""Outcomes of questions that were in order, and not answered."""
ANSWERED = ("abstained", "answered")


def outcomes(*slugs: str) -> str:
    """What matches the series of these outcomes."""
    return f'outcome=~"{"|".join(slugs)}"'


class Burn(NamedTuple):
    """How fast the error budget of 30 days may go, seen in a long window, and in a short one, still."""

    rate: float
    long: str
    short: str
    severity: str


BURNS = (
    Burn(14.4, "1h", "5m", "critical"),
    Burn(6, "6h", "30m", "critical"),
    Burn(3, "1d", "2h", "warning"),
    Burn(1, "3d", "6h", "warning"),
)
BASELINE = "30d"
"""For how long an exam's results are compared with."""
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def prometheus_rule(solver: MCQSolver, *, absent: Collection[Kind] = ()) -> Manifest | None:
    """The rules by which prometheus-operator's Prometheus warns of this solver."""
    wanted = solver.spec.monitoring.alerts
    if not is_on(wanted.enabled, PROMETHEUS_RULE, absent=absent):
        return None
    about = {"namespace": solver.namespace, "mcqsolver": solver.name}
    return manifest(
        PROMETHEUS_RULE,
        solver,
        labels=wanted.labels,
        spec={
            "groups": [
                {
                    "name": "mcqsolver.recordings",
                    "rules": [_labelled(each, about) for each in _records(solver)],
                },
                {"name": "mcqsolver.alerts", "rules": [_labelled(each, about) for each in _alerts(solver)]},
            ]
        },
    )


def _labelled(rule: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    return {**rule, "labels": {**rule.get("labels", {}), **labels}}


def _records(solver: MCQSolver) -> Iterator[dict[str, Any]]:
    """Ratios over each window; alerts and dashboards read these, and not the replicas' series."""
    mine = _replicas(solver)
    failed, counted, finished = outcomes(*FAILED), outcomes(*ANSWERED, *FAILED), outcomes(*ANSWERED)
    quick = f'le="{float(solver.spec.monitoring.alerts.answer_seconds)}"'
    for window in WINDOWS:
        errors = f"sum(rate(mcq_requests_total{{{mine},{failed}}}[{window}])) or vector(0)"
        requests = f"sum(rate(mcq_requests_total{{{mine},{counted}}}[{window}]))"
        yield _record(f"mcq_solver:request_errors:ratio_rate{window}", f"({errors}) / {requests}")
    for window in WINDOWS:
        fast = f"sum(rate(mcq_answer_duration_seconds_bucket{{{mine},{quick}}}[{window}]))"
        answers = f"sum(rate(mcq_answer_duration_seconds_count{{{mine}}}[{window}]))"
        yield _record(f"mcq_solver:answers_slow:ratio_rate{window}", f"1 - {fast} / {answers}")
    abstained = f"sum(rate(mcq_abstentions_total{{{mine}}}[30m])) or vector(0)"
    answered = f"sum(rate(mcq_requests_total{{{mine},{finished}}}[30m]))"
    yield _record("mcq_solver:abstentions:ratio_rate30m", f"({abstained}) / {answered}")


def _record(name: str, expression: str) -> dict[str, Any]:
    return {"record": name, "expr": expression}


def _alerts(solver: MCQSolver) -> Iterator[dict[str, Any]]:
    wanted, name = solver.spec.monitoring.alerts, str(solver.key)
    yield from _burning(
        solver,
        "MCQSolverErrorBudgetBurn",
        "mcq_solver:request_errors:ratio_rate",
        objective=wanted.availability_objective,
        summary=f"MCQSolver {name} fails to answer too many questions",
    )
    yield from _burning(
        solver,
        "MCQSolverLatencyBudgetBurn",
        "mcq_solver:answers_slow:ratio_rate",
        objective=wanted.latency_objective,
        summary=f"MCQSolver {name} takes more than {wanted.answer_seconds:g} s for too many answers",
    )
    yield _alert(
        "MCQSolverErrorRatioHigh",
        f"{_recorded(solver, 'mcq_solver:request_errors:ratio_rate5m')} > {wanted.max_error_ratio:g}",
        lasting="5m",
        severity="warning",
        summary=f"MCQSolver {name} fails to answer {{{{ $value | humanizePercentage }}}} of its questions",
    )
    full = wanted.max_queue_ratio * solver.spec.limits.max_queued_requests
    yield _alert(
        "MCQSolverQueueSaturated",
        f"max(mcq_queue_depth{{{_replicas(solver)}}}) > {full:g}",
        lasting="5m",
        severity="warning",
        summary=f"In a replica of MCQSolver {name} {{{{ $value }}}} questions wait for their turn",
    )
    yield _alert(
        "MCQSolverAbstentionsHigh",
        f"{_recorded(solver, 'mcq_solver:abstentions:ratio_rate30m')} > {wanted.max_abstention_ratio:g}",
        lasting="15m",
        severity="warning",
        summary=f"MCQSolver {name} abstains from {{{{ $value | humanizePercentage }}}} of its questions",
    )
    ready = _told(solver, "mcq_solver_ready_replicas")
    wanted_any = _told(solver, "mcq_solver_condition", 'type="Ready",reason!="ScaledToZero"')
    yield _alert(
        "MCQSolverNoReadyReplica",
        f"{ready} == 0 and {wanted_any}",
        lasting="2m",
        severity="critical",
        summary=f"No replica of MCQSolver {name} can answer",
    )
    yield _alert(
        "MCQSolverRolloutStalled",
        _told(solver, "mcq_solver_condition", 'reason=~"ProgressDeadlineExceeded|RolledBack"'),
        lasting="1m",
        severity="warning",
        summary=f"The newest spec of MCQSolver {name} does not come up; older replicas go on answering",
    )
    yield _alert(
        "MCQSolverModelLoadFailing",
        _told(solver, "mcq_solver_condition", 'type="ModelLoaded",status="False",reason!="Loading"'),
        lasting="5m",
        severity="critical",
        summary=f"No replica of MCQSolver {name} gets its model loaded",
    )
    yield from _exam_alerts(solver)
    yield _alert(
        "MCQSolverBackupFailing",
        _told(solver, "mcq_solver_condition", 'type="BackedUp",status="False"'),
        lasting="1m",
        severity="warning",
        summary=f"The backups of namespace {solver.namespace} by MCQSolver {name} fail",
    )


def _exam_alerts(solver: MCQSolver) -> Iterator[dict[str, Any]]:
    """By what the operator tells of each of the solver's exams."""
    name, drift = str(solver.key), solver.spec.monitoring.alerts.max_calibration_drift
    accuracy, passed = (_sat(solver, metric) for metric in ("mcq_exam_accuracy_ratio", "mcq_exam_passed"))
    best = _extreme(solver, "mcq_exam_accuracy_low_ratio", "max")
    error = _sat(solver, "mcq_exam_calibration_error_ratio")
    least = _extreme(solver, "mcq_exam_calibration_error_ratio", "min")
    yield _alert(
        "MCQExamAccuracyDropped",
        f"{accuracy} < {best}",
        lasting="1m",
        severity="warning",
        summary=f"MCQSolver {name} has {{{{ $value | humanizePercentage }}}} of exam {{{{ $labels.name }}}} right,"
        " which is below the 95 % interval of its best result of 30 days",
    )
    yield _alert(
        "MCQExamCalibrationDrifted",
        f"{error} - {least} > {drift:g}",
        lasting="1m",
        severity="warning",
        summary=f"The calibration error of MCQSolver {name} in exam {{{{ $labels.name }}}} is"
        " {{ $value | humanizePercentage }} above its least of 30 days",
    )
    yield _alert(
        "MCQExamNotPassed",
        f"{passed} == 0",
        lasting="1m",
        severity="warning",
        summary=f"MCQSolver {name} has not passed exam {{{{ $labels.name }}}}",
    )


def _burning(
    solver: MCQSolver, alert: str, ratio: str, *, objective: float, summary: str
) -> Iterator[dict[str, Any]]:
    for burn in BURNS:
        ratio_bound = round(burn.rate * (1 - objective), 10)
        if ratio_bound >= 1:
            continue  # nothing is worse than all
        bound = f"{ratio_bound:g}"
        long, short = (_recorded(solver, f"{ratio}{window}") for window in (burn.long, burn.short))
        yield _alert(
            alert,
            f"{long} > {bound} and {short} > {bound}",
            lasting="2m",
            severity=burn.severity,
            summary=f"{summary}: the budget of 30 days goes {burn.rate:g} times too fast, for {burn.long}",
            labels={"window": burn.long},
        )


def _alert(
    name: str,
    expression: str,
    *,
    lasting: str,
    severity: str,
    summary: str,
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, **(labels or {})},
        "annotations": {"summary": summary, "runbook_url": f"{names.RUNBOOKS}/{name}"},
    }


def _replicas(solver: MCQSolver) -> str:
    """What the replicas' series have in common, by the solver's ServiceMonitor."""
    return f'namespace="{solver.namespace}",job="{solver.name}"'


def _recorded(solver: MCQSolver, record: str) -> str:
    return f'{record}{{namespace="{solver.namespace}",mcqsolver="{solver.name}"}}'


def _exam(solver: MCQSolver, metric: str) -> str:
    return f'{metric}{{namespace="{solver.namespace}",solver="{solver.name}"}}'


def _sat(solver: MCQSolver, metric: str) -> str:
    """What the operator tells of each exam of the solver, whichever of its replicas leads."""
    return f"max by (name) ({_exam(solver, metric)})"


def _extreme(solver: MCQSolver, metric: str, of: Literal["min", "max"]) -> str:
    """The least or most of what it told in the time that a result is compared with."""
    return f"{of} by (name) ({of}_over_time({_exam(solver, metric)}[{BASELINE}]))"


def _told(solver: MCQSolver, metric: str, labels: str = "") -> str:
    """What the operator tells of the solver, whichever of its replicas leads."""
    mine = f'namespace="{solver.namespace}",name="{solver.name}"'
    return f"max({metric}{{{mine}{',' + labels if labels else ''}}})"
