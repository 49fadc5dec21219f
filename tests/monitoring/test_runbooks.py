"""Each alert has a runbook page, and its annotation links to the page."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.toolchain.tools import Tools
from tests.operator.support import solver

from mcq_operator.desired.alerts import prometheus_rule

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
PAGES = ROOT / "docs/operations"


def alerts(*, runbooks_url: str = "") -> list[dict[str, Any]]:
    """Return the alerts of a solver, with this setting of the operator, of the operator and of the stack."""
    spec = {"monitoring": {"alerts": {"enabled": True}}}
    solver_rule = prometheus_rule(solver(spec), runbooks_url=runbooks_url)
    assert solver_rule is not None
    written = ("operator/prometheusrule.yaml", "stack/alerts.yaml")
    rules = [
        rule
        for resource in (solver_rule, *(yaml.safe_load((MONITORING / file).read_text()) for file in written))
        for group in resource["spec"]["groups"]
        for rule in group["rules"]
    ]
    return [rule for rule in rules if "alert" in rule]


def test_alerts_and_pages_correspond() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert {rule["alert"] for rule in alerts()} == pages


def test_the_annotation_names_the_page_of_this_repository() -> None:
    for rule in alerts():
        page = rule["annotations"]["runbook_url"]
        assert page == f"docs/operations/{rule['alert']}.md"
        assert (ROOT / page).exists()


@pytest.mark.parametrize("address", ["https://git.example.com/mcq/main", "https://git.example.com/mcq/main/"])
def test_the_annotation_is_a_link_if_the_operator_knows_the_repositorys_address(address: str) -> None:
    links = {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for rule in alerts(runbooks_url=address)
        if rule["alert"].startswith(("MCQSolver", "MCQExam"))
    }
    assert links == {name: f"https://git.example.com/mcq/main/docs/operations/{name}.md" for name in links}


def test_an_overlay_of_the_documentation_makes_the_installed_alerts_links(
    tools: Tools, tmp_path: Path
) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/observability.md").read_text(), re.DOTALL)
    [overlay] = [yaml.safe_load(block) for block in blocks if "replacements" in block]
    assert overlay["resources"] == ["monitoring"]
    overlay["resources"] = [os.path.relpath(MONITORING, tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    kubectl: list[str | Path] = [tools.binary("kubernetes", "kubectl"), "kustomize", tmp_path]
    rendered = subprocess.run(kubectl, capture_output=True, text=True, check=True).stdout
    objects = [*yaml.safe_load_all(rendered)]
    assert "runbooks" not in {each["metadata"]["name"].partition("-")[0] for each in objects}
    links = {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for each in objects
        if each["kind"] == "PrometheusRule"
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    }
    assert {"MCQOperatorDown", "Watchdog"} <= links.keys()
    address = "https://git.example.com/mcq-operator/blob/main/docs/operations"
    assert links == {name: f"{address}/{name}.md" for name in links}


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
