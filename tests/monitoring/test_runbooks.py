"""Each alert has a runbook page, and its annotation links to the page."""

from pathlib import Path
from typing import Any

import yaml
from tests.operator.support import solver

from mcq_operator.api.names import RUNBOOKS
from mcq_operator.desired.alerts import prometheus_rule

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/operations"


def alerts() -> list[dict[str, Any]]:
    solver_rule = prometheus_rule(solver({"monitoring": {"alerts": {"enabled": True}}}))
    assert solver_rule is not None
    operator_rule = yaml.safe_load((ROOT / "monitoring/operator/prometheusrule.yaml").read_text())
    rules = [
        rule
        for resource in (solver_rule, operator_rule)
        for group in resource["spec"]["groups"]
        for rule in group["rules"]
    ]
    return [rule for rule in rules if "alert" in rule]


def test_alerts_and_pages_correspond() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert {rule["alert"] for rule in alerts()} == pages


def test_the_annotation_links_to_the_page() -> None:
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}/{rule['alert']}"


def test_a_page_has_meaning_diagnosis_and_remedy() -> None:
    for rule in alerts():
        page = (PAGES / f"{rule['alert']}.md").read_text()
        assert page.startswith(f"# {rule['alert']}\n")
        for heading in ("## What it means", "## Where to look", "## What to do"):
            assert heading in page, f"{rule['alert']} lacks {heading}"


def test_the_index_lists_every_page() -> None:
    index = (PAGES / "README.md").read_text()
    for rule in alerts():
        assert f"[{rule['alert']}]({rule['alert']}.md)" in index
