"""Each alert of a solver fires exactly when it should, according to the real promtool."""

from pathlib import Path
from typing import Any

import pytest
from tests.monitoring.promtool import Promtool
from tests.operator.support import solver

from mcq_operator.api.names import FAILED_OUTCOMES
from mcq_operator.api.telemetry import ANSWER_BOUNDS
from mcq_operator.desired.alerts import prometheus_rule
from mcq_service.api import problems
from mcq_service.telemetry.metrics import FAILURES, SECONDS

REPLICA_LABELS = 'namespace="team",job="demo",pod="demo-0"'
SOLVER_LABELS = {"namespace": "team", "mcqsolver": "demo"}
OPERATOR_LABELS = 'namespace="team",name="demo"'


@pytest.fixture
def rules(promtool: Path, tmp_path: Path) -> Promtool:
    """Return the rules of a solver with default settings."""
    return rules_of(promtool, tmp_path)


def rules_of(promtool: Path, folder: Path, **alerts: Any) -> Promtool:
    """Return the rules of a solver with these values in spec.monitoring.alerts."""
    rule = prometheus_rule(solver({"monitoring": {"alerts": {"enabled": True, **alerts}}}))
    assert rule is not None
    return Promtool(promtool, folder, rule["spec"]["groups"])


def question_counters(*, answered: float, failed: float = 0, minutes: int = 180) -> dict[str, str]:
    """Return counters of questions that grow by these numbers per minute."""
    outcomes = {"answered": answered, "overloaded": failed * 0.5, "internal-error": failed * 0.5}
    series = {
        f'mcq_requests_total{{{REPLICA_LABELS},mode="answer",outcome="{outcome}"}}': f"0+{rate:g}x{minutes}"
        for outcome, rate in outcomes.items()
    }
    # Client errors do not count as failures.
    series[f'mcq_requests_total{{{REPLICA_LABELS},mode="answer",outcome="invalid-question"}}'] = (
        f"0+1000x{minutes}"
    )
    return series


def answer_durations(*, quick: float, slow: float, minutes: int = 180) -> dict[str, str]:
    """Return a duration histogram that grows by these numbers of 3 s and 20 s answers per minute."""
    counts = {"2.0": 0.0, "4.0": quick, "30.0": quick + slow, "+Inf": quick + slow}
    buckets = {
        f'mcq_answer_duration_seconds_bucket{{{REPLICA_LABELS},mode="answer",le="{bound}"}}': f"0+{count:g}x{minutes}"
        for bound, count in counts.items()
    }
    total = f'mcq_answer_duration_seconds_count{{{REPLICA_LABELS},mode="answer"}}'
    return {**buckets, total: f"0+{quick + slow:g}x{minutes}"}


def condition(kind: str, status: str, reason: str, values: str = "1x60") -> dict[str, str]:
    return {
        f'mcq_solver_condition{{{OPERATOR_LABELS},type="{kind}",status="{status}",reason="{reason}"}}': values
    }


def alert_labels(severity: str, **labels: str) -> list[dict[str, str]]:
    return [{"severity": severity, **labels, **SOLVER_LABELS}]


def burn_alerts(count: int) -> list[dict[str, str]]:
    """Return the labels of the `count` slowest burn alerts."""
    windows = [("3d", "warning"), ("1d", "warning"), ("6h", "critical"), ("1h", "critical")]
    return [each for window, severity in windows[:count] for each in alert_labels(severity, window=window)]


def test_the_rules_are_valid(rules: Promtool) -> None:
    rules.check()


@pytest.mark.parametrize(
    ("failed", "windows"), [(0, 0), (0.9, 0), (1.5, 1), (4, 2), (8, 3), (16, 4), (100, 4)]
)
def test_the_error_budget_burns(rules: Promtool, failed: float, windows: int) -> None:
    """The budget allows 1 % of the questions to fail."""
    series = question_counters(answered=100 - failed, failed=failed)
    rules.alert("MCQSolverErrorBudgetBurn", series, at="170m", fires=burn_alerts(windows))


def test_the_error_budget_alerts_end_with_the_failures(rules: Promtool) -> None:
    """The short windows end alerts that the failures of the last hours would keep firing."""
    series = question_counters(answered=100) | {
        f'mcq_requests_total{{{REPLICA_LABELS},mode="answer",outcome="overloaded"}}': "0+100x90 9000x90"
    }
    rules.alert("MCQSolverErrorBudgetBurn", series, at="80m", fires=burn_alerts(4))
    rules.alert("MCQSolverErrorBudgetBurn", series, at="135m", fires=burn_alerts(2))


@pytest.mark.parametrize(("slow", "windows"), [(0, 0), (4, 0), (10, 1), (20, 2), (40, 3), (80, 4)])
def test_the_latency_budget_burns(rules: Promtool, slow: float, windows: int) -> None:
    """The budget allows 5 % of the answers to take more than 4 s."""
    series = answer_durations(quick=100 - slow, slow=slow)
    rules.alert("MCQSolverLatencyBudgetBurn", series, at="170m", fires=burn_alerts(windows))


def test_a_burn_alert_says_how_long_the_budget_lasts(rules: Promtool) -> None:
    alerts = [rule for rule in rules.groups[1]["rules"] if rule["alert"] == "MCQSolverErrorBudgetBurn"]
    assert [rule["annotations"]["summary"].partition(": ")[2] for rule in alerts] == [
        "at the rate of the last 1h, the 30-day budget lasts less than 2.1 days",
        "at the rate of the last 6h, the 30-day budget lasts less than 5 days",
        "at the rate of the last 1d, the 30-day budget lasts less than 10 days",
        "at the rate of the last 3d, the 30-day budget lasts less than 30 days",
    ]


def test_thresholds_are_the_solvers_own(promtool: Path, tmp_path: Path) -> None:
    """A threshold that even total failure can't reach has no rule."""
    loose = rules_of(promtool, tmp_path, latencyObjective=0.5, answerSeconds=30)
    loose.alert("MCQSolverLatencyBudgetBurn", answer_durations(quick=0, slow=100), at="170m", fires=[])
    alerts = [rule for rule in loose.groups[1]["rules"] if rule["alert"] == "MCQSolverLatencyBudgetBurn"]
    assert [rule["labels"]["window"] for rule in alerts] == ["3d"]


@pytest.mark.parametrize(("failed", "fires"), [(4, False), (6, True)])
def test_the_error_ratio_is_high(rules: Promtool, failed: float, fires: bool) -> None:
    series = question_counters(answered=100 - failed, failed=failed)
    expected = alert_labels("warning") if fires else []
    rules.alert("MCQSolverErrorRatioHigh", series, at="30m", fires=expected, value=f"{failed}%")


@pytest.mark.parametrize(("depth", "fires"), [(51, False), (52, True)])
def test_a_queue_is_saturated(rules: Promtool, depth: int, fires: bool) -> None:
    """The limit of 64 applies to each replica's own queue."""
    series = {f"mcq_queue_depth{{{REPLICA_LABELS}}}": f"{depth}x30", 'mcq_queue_depth{job="other"}': "999x30"}
    expected = alert_labels("warning") if fires else []
    rules.alert("MCQSolverQueueSaturated", series, at="20m", fires=expected, value=str(depth))
    rules.alert("MCQSolverQueueSaturated", series, at="4m", fires=[])


@pytest.mark.parametrize(("abstained", "fires"), [(40, False), (60, True)])
def test_many_answers_are_abstentions(rules: Promtool, abstained: int, fires: bool) -> None:
    requests = f'mcq_requests_total{{{REPLICA_LABELS},mode="answer",outcome='
    series = {
        f'mcq_abstentions_total{{{REPLICA_LABELS},mode="answer"}}': f"0+{abstained}x90",
        f'{requests}"abstained"}}': f"0+{abstained}x90",
        f'{requests}"answered"}}': f"0+{100 - abstained}x90",
    }
    expected = alert_labels("warning") if fires else []
    rules.alert("MCQSolverAbstentionsHigh", series, at="80m", fires=expected, value=f"{abstained}%")


@pytest.mark.parametrize(
    ("replicas", "reason", "fires"),
    [("0x60", "Crashing", True), ("1x60", "RollingOut", False), ("0x60", "ScaledToZero", False)],
)
def test_no_replica_is_ready(rules: Promtool, replicas: str, reason: str, fires: bool) -> None:
    series = {f"mcq_solver_ready_replicas{{{OPERATOR_LABELS}}}": replicas} | condition(
        "Ready", "False", reason
    )
    rules.alert("MCQSolverNoReadyReplica", series, at="10m", fires=alert_labels("critical") if fires else [])


@pytest.mark.parametrize(("replicas", "fires"), [("0x60", False), ("1x5 0x55", True)])
def test_the_first_load_of_a_model_is_no_outage(rules: Promtool, replicas: str, fires: bool) -> None:
    """A model that takes long to load again is one."""
    series = {f"mcq_solver_ready_replicas{{{OPERATOR_LABELS}}}": replicas}
    series |= condition("Ready", "False", "Starting") | condition("ModelLoaded", "False", "Loading")
    rules.alert("MCQSolverNoReadyReplica", series, at="50m", fires=alert_labels("critical") if fires else [])


@pytest.mark.parametrize(
    ("ready", "up", "fires"),
    [
        ("3x60", {"0": "0x60", "1": "0x60"}, True),
        ("3x60", {}, True),
        ("3x60", {"0": "1x60", "1": "0x60"}, False),
        ("0x60", {}, False),
    ],
)
def test_no_replica_is_scraped(rules: Promtool, ready: str, up: dict[str, str], fires: bool) -> None:
    series = {f"mcq_solver_ready_replicas{{{OPERATOR_LABELS}}}": ready}
    series |= {f"up{{{REPLICA_LABELS.replace('demo-0', pod)}}}": values for pod, values in up.items()}
    rules.alert("MCQSolverNotScraped", series, at="50m", fires=alert_labels("warning") if fires else [])


def test_replicas_that_prometheus_should_not_scrape_are_not_missed() -> None:
    off = {"alerts": {"enabled": True}, "serviceMonitor": {"enabled": False}}
    rule = prometheus_rule(solver({"monitoring": off}))
    assert rule is not None
    alerts = [each.get("alert") for group in rule["spec"]["groups"] for each in group["rules"]]
    assert "MCQSolverNotScraped" not in alerts


@pytest.mark.parametrize(
    ("kind", "reason", "fires"),
    [
        ("Progressing", "ProgressDeadlineExceeded", True),
        ("Degraded", "RolledBack", True),
        ("Progressing", "RollingOut", False),
    ],
)
def test_a_roll_out_is_stalled(rules: Promtool, kind: str, reason: str, fires: bool) -> None:
    series = condition(kind, "True", reason)
    rules.alert("MCQSolverRolloutStalled", series, at="10m", fires=alert_labels("warning") if fires else [])


@pytest.mark.parametrize(("reason", "fires"), [("DigestMismatch", True), ("Loading", False)])
def test_the_model_does_not_load(rules: Promtool, reason: str, fires: bool) -> None:
    series = condition("ModelLoaded", "False", reason)
    rules.alert(
        "MCQSolverModelLoadFailing", series, at="10m", fires=alert_labels("critical") if fires else []
    )


@pytest.mark.parametrize(("status", "fires"), [("False", True), ("True", False), ("Unknown", False)])
def test_the_backups_fail(rules: Promtool, status: str, fires: bool) -> None:
    series = condition("BackedUp", status, "Whatever")
    rules.alert("MCQSolverBackupFailing", series, at="10m", fires=alert_labels("warning") if fires else [])


def exam_metric(metric: str, values: str, *, pod: str = "one") -> dict[str, str]:
    """Return one of the operator's metrics of an exam of the solver."""
    return {f'mcq_exam_{metric}{{namespace="team",name="aqua",solver="demo",pod="{pod}"}}': values}


@pytest.mark.parametrize(("now", "fires"), [("0.44", True), ("0.47", False)])
def test_an_exams_accuracy_drops(rules: Promtool, now: str, fires: bool) -> None:
    """After a change of leader, another pod reports the exam."""
    series = {
        **exam_metric("accuracy_ratio", "0.5x30 stale"),
        **exam_metric("accuracy_low_ratio", "0.46x30 stale"),
        **exam_metric("accuracy_ratio", f"_x30 {now}x60", pod="two"),
        **exam_metric("accuracy_low_ratio", "_x30 0.4x60", pod="two"),
    }
    expected = alert_labels("warning", name="aqua") if fires else []
    rules.alert("MCQExamAccuracyDropped", series, at="60m", fires=expected, value=f"{now[2:]}%")
    rules.alert("MCQExamAccuracyDropped", series, at="20m", fires=[])


@pytest.mark.parametrize(("now", "fires"), [("0.15", True), ("0.11", False)])
def test_an_exams_calibration_drifts(rules: Promtool, now: str, fires: bool) -> None:
    series = exam_metric("calibration_error_ratio", f"0.08x30 {now}x60")
    expected = alert_labels("warning", name="aqua") if fires else []
    rules.alert("MCQExamCalibrationDrifted", series, at="60m", fires=expected, value="7%")


@pytest.mark.parametrize(("passed", "fires"), [("0", True), ("1", False)])
def test_an_exam_is_not_passed(rules: Promtool, passed: str, fires: bool) -> None:
    expected = alert_labels("warning", name="aqua") if fires else []
    rules.alert("MCQExamNotPassed", exam_metric("passed", f"{passed}x60"), at="30m", fires=expected)


def test_the_operators_metric_names_equal_the_services() -> None:
    """The operator's outcome names and histogram bounds equal the service's, although they share no code."""
    known = {each.slug: each.status for each in vars(problems).values() if hasattr(each, "slug")}
    failures = {slug for slug, status in known.items() if status == 429 or (status >= 500 and status != 501)}
    assert failures == set(FAILED_OUTCOMES) == set(FAILURES)
    assert set(ANSWER_BOUNDS) == set(SECONDS)
