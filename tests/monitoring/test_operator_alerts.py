"""Each alert of the operator fires exactly when it should, according to the real promtool."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.monitoring.promtool import Promtool

from mcq_operator.manager.metrics import Metrics

RULES = Path(__file__).resolve().parents[2] / "monitoring/operator/prometheusrule.yaml"
OPERATOR = 'job="mcq-operator",namespace="mcq-operator-system",pod="mcq-operator-0"'
SECOND = OPERATOR.replace("-0", "-1")
OTHER = OPERATOR.replace("-system", "-of-another-release")
HOME = {"namespace": "mcq-operator-system"}


@pytest.fixture
def rules(promtool: Path, tmp_path: Path) -> Promtool:
    """Return the rules that monitoring/operator installs."""
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["spec"]["groups"]
    return Promtool(promtool, tmp_path, groups)


def alert_labels(severity: str, **labels: str) -> list[dict[str, str]]:
    return [{"severity": severity, **labels}]


def test_the_rules_are_valid(rules: Promtool) -> None:
    rules.check()


def test_rules_query_existing_metrics(rules: Promtool) -> None:
    known = {family.name for family in Metrics(CollectorRegistry()).registry.collect()}
    for rule in (rule for group in rules.groups for rule in group["rules"]):
        queried = [
            word
            for word in rule["expr"].replace("(", " ").replace("{", " ").split()
            if word.startswith("mcq_")
        ]
        assert {word.removesuffix("_total") for word in queried} <= known
        assert queried or "up{" in rule["expr"]


@pytest.mark.parametrize(("up", "fires"), [("0x30", True), ("1x30", False), ("1x5 0x25", True)])
def test_the_operator_is_down(rules: Promtool, up: str, fires: bool) -> None:
    expected = alert_labels("critical", **HOME) if fires else []
    series = {f"up{{{OPERATOR}}}": up, f"up{{{OTHER}}}": "1x30"}
    rules.alert("MCQOperatorDown", series, at="20m", fires=expected)


def test_the_operator_is_absent(rules: Promtool) -> None:
    series = {f"up{{{OTHER}}}": "1x30"}
    rules.alert("MCQOperatorDown", series, at="20m", fires=alert_labels("critical", **HOME))


@pytest.mark.parametrize(("leads", "fires"), [("0x30", True), ("1x30", False), ("1x10 0x1 1x19", False)])
def test_no_replica_is_leader(rules: Promtool, leads: str, fires: bool) -> None:
    """The other replica waits for the Lease."""
    series = {f"mcq_operator_leader{{{OPERATOR}}}": leads, f"mcq_operator_leader{{{SECOND}}}": "0x30"}
    series |= {f"up{{{replica}}}": "1x30" for replica in (OPERATOR, SECOND)}
    rules.alert(
        "MCQOperatorNoLeader", series, at="12m", fires=alert_labels("critical", **HOME) if fires else []
    )


def test_a_leader_that_cant_be_scraped_may_lead(rules: Promtool) -> None:
    series = {f"mcq_operator_leader{{{OPERATOR}}}": "1x5 stale", f"mcq_operator_leader{{{SECOND}}}": "0x30"}
    series |= {f"up{{{OPERATOR}}}": "1x5 0x25", f"up{{{SECOND}}}": "1x30"}
    rules.alert("MCQOperatorNoLeader", series, at="12m", fires=[])


@pytest.mark.parametrize(("age", "fires"), [(59, False), (90, True)])
def test_a_watch_is_stale(rules: Promtool, age: int, fires: bool) -> None:
    series = {
        f'mcq_operator_watch_age_seconds{{{OPERATOR},kind="{kind}"}}': "0x30" for kind in ("Pod", "Service")
    }
    series[f'mcq_operator_watch_age_seconds{{{OPERATOR},kind="Service"}}'] = f"{age}x30"
    expected = alert_labels("warning", **HOME, kind="Service") if fires else []
    rules.alert("MCQOperatorWatchStale", series, at="10m", fires=expected, value="1m 30s")


@pytest.mark.parametrize(("failed", "fires"), [(1, False), (5, True)])
def test_reconciles_fail(rules: Promtool, failed: int, fires: bool) -> None:
    outcome = {"failed": failed, "ready": 20 - failed}
    series = {
        f'mcq_operator_reconciles_total{{{OPERATOR},outcome="{name}"}}': f"0+{rate}x60"
        for name, rate in outcome.items()
    }
    expected = alert_labels("warning", **HOME) if fires else []
    rules.alert("MCQOperatorReconcilesFailing", series, at="40m", fires=expected, value="25%")


@pytest.mark.parametrize(("seconds", "fires"), [(119, False), (150, True)])
def test_a_reconcile_is_stuck(rules: Promtool, seconds: int, fires: bool) -> None:
    series = {f"mcq_operator_longest_running_reconcile_seconds{{{OPERATOR}}}": f"{seconds}x30"}
    expected = alert_labels("warning", **HOME) if fires else []
    rules.alert("MCQOperatorReconcileStuck", series, at="10m", fires=expected, value="2m 30s")


@pytest.mark.parametrize(("waiting", "fires"), [("100x30", False), ("101x30", True), ("500x5 0x25", False)])
def test_solvers_wait_in_the_queue(rules: Promtool, waiting: str, fires: bool) -> None:
    series = {f"mcq_operator_queue_depth{{{OPERATOR}}}": waiting}
    expected = alert_labels("warning", **HOME) if fires else []
    rules.alert("MCQOperatorQueueBacklog", series, at="20m", fires=expected, value="101")
