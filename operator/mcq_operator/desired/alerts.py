"""Prometheus' recording rules and alerts for a solver.

Multi-window burn rates: https://sre.google/workbook/alerting-on-slos/
"""

from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.kinds import PROMETHEUS_RULE, SERVICE_MONITOR, Kind

from .manifest import manifest
from .monitoring import is_on


def outcomes(*slugs: str) -> str:
    """Return the label matcher of these outcomes."""
    return f'outcome=~"{"|".join(slugs)}"'


class Burn(NamedTuple):
    """A burn rate of the 30-day error budget. Both windows must exceed it; the short one shows that it still burns."""

    rate: float
    long: str
    short: str
    severity: str

    @property
    def days(self) -> float:
        """How long the whole budget lasts at this rate."""
        return round(30 / self.rate, 1)


BURNS = (
    Burn(14.4, "1h", "5m", "critical"),
    Burn(6, "6h", "30m", "critical"),
    Burn(3, "1d", "2h", "warning"),
    Burn(1, "3d", "6h", "warning"),
)
BASELINE = "30d"
"""The period of exam results that a new result is compared with."""
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def prometheus_rule(
    solver: MCQSolver, *, absent: Collection[Kind] = (), runbooks_url: str = ""
) -> Manifest | None:
    """Return the recording rules and alerts of a solver, or None if they are off.

    The alerts link to their pages below `runbooks_url`; without it they name the pages' paths in this repository.
    """
    alerts = solver.spec.monitoring.alerts
    if not is_on(alerts.enabled, PROMETHEUS_RULE, absent=absent):
        return None
    labels = {"namespace": solver.namespace, "mcqsolver": solver.name}
    return manifest(
        PROMETHEUS_RULE,
        solver,
        labels=alerts.labels,
        spec={
            "groups": [
                {
                    "name": "mcqsolver.recordings",
                    "rules": [_labelled(each, labels) for each in _records(solver)],
                },
                {
                    "name": "mcqsolver.alerts",
                    "rules": [
                        _labelled(_with_runbook(each, runbooks_url), labels)
                        for each in _alerts(solver, absent=absent)
                    ],
                },
            ]
        },
    )


def _labelled(rule: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    return {**rule, "labels": {**rule.get("labels", {}), **labels}}


def _with_runbook(rule: dict[str, Any], url: str) -> dict[str, Any]:
    page = f"{names.RUNBOOKS}/{rule['alert']}.md"
    address = f"{url.rstrip('/')}/{page}" if url else page
    return {**rule, "annotations": {**rule["annotations"], "runbook_url": address}}


def _records(solver: MCQSolver) -> Iterator[dict[str, Any]]:
    """Yield ratios over each window. Alerts and dashboards read these instead of the replicas' series."""
    replicas = _replicas(solver)
    failed, finished = outcomes(*names.FAILED_OUTCOMES), outcomes(*names.ANSWERED_OUTCOMES)
    counted = outcomes(*names.ANSWERED_OUTCOMES, *names.FAILED_OUTCOMES)
    quick = f'le="{float(solver.spec.monitoring.alerts.answer_seconds)}"'
    for window in WINDOWS:
        errors = f"sum(rate(mcq_requests_total{{{replicas},{failed}}}[{window}])) or vector(0)"
        requests = f"sum(rate(mcq_requests_total{{{replicas},{counted}}}[{window}]))"
        yield _record(f"mcq_solver:request_errors:ratio_rate{window}", f"({errors}) / {requests}")
    for window in WINDOWS:
        fast = f"sum(rate(mcq_answer_duration_seconds_bucket{{{replicas},{quick}}}[{window}]))"
        answers = f"sum(rate(mcq_answer_duration_seconds_count{{{replicas}}}[{window}]))"
        yield _record(f"mcq_solver:answers_slow:ratio_rate{window}", f"1 - {fast} / {answers}")
    abstained = f"sum(rate(mcq_abstentions_total{{{replicas}}}[30m])) or vector(0)"
    answered = f"sum(rate(mcq_requests_total{{{replicas},{finished}}}[30m]))"
    yield _record("mcq_solver:abstentions:ratio_rate30m", f"({abstained}) / {answered}")


def _record(name: str, expression: str) -> dict[str, Any]:
    return {"record": name, "expr": expression}


def _alerts(solver: MCQSolver, *, absent: Collection[Kind]) -> Iterator[dict[str, Any]]:
    limits, name = solver.spec.monitoring.alerts, str(solver.key)
    yield from _burn_alerts(
        solver,
        "MCQSolverErrorBudgetBurn",
        "mcq_solver:request_errors:ratio_rate",
        objective=limits.availability_objective,
        summary=f"MCQSolver {name} fails to answer too many questions",
    )
    yield from _burn_alerts(
        solver,
        "MCQSolverLatencyBudgetBurn",
        "mcq_solver:answers_slow:ratio_rate",
        objective=limits.latency_objective,
        summary=f"MCQSolver {name} takes more than {limits.answer_seconds:g} s for too many answers",
    )
    yield _alert(
        "MCQSolverErrorRatioHigh",
        f"{_recorded(solver, 'mcq_solver:request_errors:ratio_rate5m')} > {limits.max_error_ratio:g}",
        lasting="5m",
        summary=f"MCQSolver {name} fails to answer {{{{ $value | humanizePercentage }}}} of its questions",
    )
    full = limits.max_queue_ratio * solver.spec.limits.max_queued_requests
    yield _alert(
        "MCQSolverQueueSaturated",
        f"max(mcq_queue_depth{{{_replicas(solver)}}}) > {full:g}",
        lasting="5m",
        summary=f"{{{{ $value }}}} questions wait in a replica of MCQSolver {name}",
    )
    yield _alert(
        "MCQSolverAbstentionsHigh",
        f"{_recorded(solver, 'mcq_solver:abstentions:ratio_rate30m')} > {limits.max_abstention_ratio:g}",
        lasting="15m",
        summary=f"MCQSolver {name} abstains from {{{{ $value | humanizePercentage }}}} of its questions",
    )
    yield from _availability_alerts(solver, absent=absent)
    yield _alert(
        "MCQSolverRolloutStalled",
        _status_metric(solver, "mcq_solver_condition", 'reason=~"ProgressDeadlineExceeded|RolledBack"'),
        lasting="1m",
        summary=f"The replicas of MCQSolver {name}'s newest spec do not start; older replicas go on answering",
    )
    yield _alert(
        "MCQSolverModelLoadFailing",
        _status_metric(solver, "mcq_solver_condition", 'type="ModelLoaded",status="False",reason!="Loading"'),
        lasting="5m",
        severity="critical",
        summary=f"No replica of MCQSolver {name} can load its model",
    )
    yield from _exam_alerts(solver)
    yield _alert(
        "MCQSolverBackupFailing",
        _status_metric(solver, "mcq_solver_condition", 'type="BackedUp",status="False"'),
        lasting="1m",
        summary=f"The backups of namespace {solver.namespace} by MCQSolver {name} fail",
    )


def _availability_alerts(solver: MCQSolver, *, absent: Collection[Kind]) -> Iterator[dict[str, Any]]:
    """Yield the alerts on replicas that can't answer, and on those that Prometheus can't see."""
    name, monitor = str(solver.key), solver.spec.monitoring.service_monitor
    ready = _status_metric(solver, "mcq_solver_ready_replicas")
    should_run = _status_metric(solver, "mcq_solver_condition", 'type="Ready",reason!="ScaledToZero"')
    loads = _status_metric(
        solver, "mcq_solver_condition", 'type="ModelLoaded",status="False",reason="Loading"'
    )
    ever = _status_metric(solver, "mcq_solver_ready_replicas", period=BASELINE)
    yield _alert(
        "MCQSolverNoReadyReplica",
        # Not during the first load of a model, which may take long.
        f"{ready} == 0 and {should_run} unless ({loads} unless {ever} > 0)",
        lasting="2m",
        severity="critical",
        summary=f"No replica of MCQSolver {name} can answer",
    )
    if is_on(monitor.enabled, SERVICE_MONITOR, absent=absent):
        period = f"{max(300, 2 * monitor.interval_seconds)}s"
        yield _alert(
            "MCQSolverNotScraped",
            f"{ready} > 0 unless max(max_over_time(up{{{_replicas(solver)}}}[{period}])) == 1",
            lasting="10m",
            summary=f"Prometheus can't scrape any replica of MCQSolver {name}, so most of its alerts can't fire",
        )


def _exam_alerts(solver: MCQSolver) -> Iterator[dict[str, Any]]:
    """Yield the alerts on the operator's metrics of the solver's exams."""
    name, drift = str(solver.key), solver.spec.monitoring.alerts.max_calibration_drift
    accuracy, passed = (
        _exam_metric(solver, metric) for metric in ("mcq_exam_accuracy_ratio", "mcq_exam_passed")
    )
    best = _extreme(solver, "mcq_exam_accuracy_low_ratio", "max")
    error = _exam_metric(solver, "mcq_exam_calibration_error_ratio")
    least = _extreme(solver, "mcq_exam_calibration_error_ratio", "min")
    yield _alert(
        "MCQExamAccuracyDropped",
        f"{accuracy} < {best}",
        lasting="1m",
        summary=f"MCQSolver {name} answers {{{{ $value | humanizePercentage }}}} of exam {{{{ $labels.name }}}}"
        " correctly, less than the 95 % interval of its best result in 30 days",
    )
    yield _alert(
        "MCQExamCalibrationDrifted",
        f"{error} - {least} > {drift:g}",
        lasting="1m",
        summary=f"The calibration error of MCQSolver {name} in exam {{{{ $labels.name }}}} is"
        " {{ $value | humanizePercentage }} above its lowest of 30 days",
    )
    yield _alert(
        "MCQExamNotPassed",
        f"{passed} == 0",
        lasting="1m",
        summary=f"MCQSolver {name} has not passed exam {{{{ $labels.name }}}}",
    )


def _burn_alerts(
    solver: MCQSolver, alert: str, ratio: str, *, objective: float, summary: str
) -> Iterator[dict[str, Any]]:
    for burn in BURNS:
        ratio_bound = round(burn.rate * (1 - objective), 10)
        if ratio_bound >= 1:
            continue  # no ratio exceeds 1
        bound = f"{ratio_bound:g}"
        long, short = (_recorded(solver, f"{ratio}{window}") for window in (burn.long, burn.short))
        yield _alert(
            alert,
            f"{long} > {bound} and {short} > {bound}",
            lasting="2m",
            severity=burn.severity,
            summary=f"{summary}: at the rate of the last {burn.long}, the 30-day budget lasts less than"
            f" {burn.days:g} days",
            labels={"window": burn.long},
        )


def _alert(
    name: str,
    expression: str,
    *,
    lasting: str,
    summary: str,
    severity: str = "warning",
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, **(labels or {})},
        "annotations": {"summary": summary},
    }


def _replicas(solver: MCQSolver) -> str:
    """Return the label matchers of the replicas' series, as the solver's ServiceMonitor sets the labels."""
    return f'namespace="{solver.namespace}",job="{solver.name}"'


def _recorded(solver: MCQSolver, record: str) -> str:
    return f'{record}{{namespace="{solver.namespace}",mcqsolver="{solver.name}"}}'


def _exam_series(solver: MCQSolver, metric: str) -> str:
    return f'{metric}{{namespace="{solver.namespace}",solver="{solver.name}"}}'


def _exam_metric(solver: MCQSolver, metric: str) -> str:
    """Return the operator's metric for each exam of the solver, whichever operator replica leads."""
    return f"max by (name) ({_exam_series(solver, metric)})"


def _extreme(solver: MCQSolver, metric: str, of: Literal["min", "max"]) -> str:
    """Return the minimum or maximum of an exam metric over the comparison period."""
    return f"{of} by (name) ({of}_over_time({_exam_series(solver, metric)}[{BASELINE}]))"


def _status_metric(solver: MCQSolver, metric: str, labels: str = "", *, period: str = "") -> str:
    """Return the operator's metric for the solver, whichever operator replica leads; its maximum over a period."""
    matchers = f'namespace="{solver.namespace}",name="{solver.name}"'
    series = f"{metric}{{{matchers}{',' + labels if labels else ''}}}"
    return f"max(max_over_time({series}[{period}]))" if period else f"max({series})"
