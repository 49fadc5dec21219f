"""The alerts on the delivery of alerts fire exactly when they should, according to the real promtool."""

from pathlib import Path

import pytest
import yaml
from tests.monitoring.promtool import Promtool

RULES = Path(__file__).resolve().parents[2] / "monitoring/stack/alerts.yaml"
FAILED = 'alertmanager_notifications_failed_total{namespace="%s",integration="webhook",reason="other"}'


@pytest.fixture
def rules(promtool: Path, tmp_path: Path) -> Promtool:
    """Return the rules that monitoring/stack installs."""
    return Promtool(promtool, tmp_path, yaml.safe_load(RULES.read_text())["spec"]["groups"])


def test_the_rules_are_valid(rules: Promtool) -> None:
    rules.check()


def test_the_watchdog_always_fires(rules: Promtool) -> None:
    for minute in ("0m", "600m"):
        rules.alert("Watchdog", {}, at=minute, fires=[{"severity": "none"}])


@pytest.mark.parametrize(
    ("failures", "fires"),
    [
        ("0x90", False),
        ("0x10 1x80", False),
        ("0x4 1x4 2x4 3x4 4x4 5x4 6x4 7x4 8x4 9x4 10x4 11x4 12x4 13x4", True),  # each 5 minutes
    ],
    ids=["none", "one", "all"],
)
def test_messages_that_are_not_delivered_are_an_alert(rules: Promtool, failures: str, fires: bool) -> None:
    """The Watchdog makes Alertmanager try again every five minutes."""
    expected = [{"severity": "warning", "integration": "webhook"}] if fires else []
    name = "AlertmanagerNotificationsFailing"
    rules.alert(name, {FAILED % "monitoring": failures}, at="60m", fires=expected)


def test_another_alertmanagers_failures_are_not_the_stacks(rules: Promtool) -> None:
    rules.alert("AlertmanagerNotificationsFailing", {FAILED % "other": "0+1x90"}, at="60m", fires=[])
