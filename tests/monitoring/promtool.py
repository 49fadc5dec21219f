"""Unit tests of rules: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Promtool:
    """The real promtool and the rules to test."""

    program: Path
    folder: Path
    groups: list[dict[str, Any]]

    def check(self) -> None:
        """Fail if the rules are invalid."""
        self._run("check", "rules", "--lint=all", "--lint-fatal", self._rules())

    def query(self, expression: str, series: dict[str, str], *, at: str, samples: dict[str, float]) -> None:
        """Fail unless the expression has exactly these samples, by labels, at that time."""
        expected = [{"labels": labels, "value": value} for labels, value in samples.items()]
        self._test(series, promql_expr_test=[{"expr": expression, "eval_time": at, "exp_samples": expected}])

    def alert(
        self, name: str, series: dict[str, str], *, at: str, fires: list[dict[str, str]], value: str = ""
    ) -> None:
        """Fail unless exactly the alerts in `fires` have this name at that time; series have a value per minute.

        `fires` has each alert's labels without its name; `value` is the number in its summary.
        """
        expected = [
            {"exp_labels": labels, "exp_annotations": self._annotations(name, labels, value)}
            for labels in fires
        ]
        self._test(series, alert_rule_test=[{"eval_time": at, "alertname": name, "exp_alerts": expected}])

    def _test(self, series: dict[str, str], **expected: list[dict[str, Any]]) -> None:
        inputs = [{"series": each, "values": values} for each, values in series.items()]
        test = {
            "rule_files": [str(self._rules())],
            "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": inputs, **expected}],
        }
        path = self.folder / "test.yaml"
        path.write_text(yaml.safe_dump(test))
        self._run("test", "rules", path)

    def _annotations(self, name: str, labels: dict[str, str], value: str) -> dict[str, str]:
        """Return the annotations of the rule for the alert's window, with `value` filled in."""
        rules = [rule for group in self.groups for rule in group["rules"] if rule.get("alert") == name]
        window = labels.get("window")
        rule = next(rule for rule in rules if rule["labels"].get("window") == window)
        return {key: _filled(text, labels, value) for key, text in rule["annotations"].items()}

    def _rules(self) -> Path:
        path = self.folder / "rules.yaml"
        path.write_text(yaml.safe_dump({"groups": self.groups}))
        return path

    def _run(self, *arguments: str | Path) -> None:
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _filled(text: str, labels: dict[str, str], value: str) -> str:
    for key, label in labels.items():
        text = text.replace(f"{{{{ $labels.{key} }}}}", label)
    before, opening, rest = text.partition("{{ $value")
    return before + value + rest.partition("}}")[2] if opening else text
