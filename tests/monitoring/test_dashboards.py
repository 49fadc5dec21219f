"""Properties that every dashboard must have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.monitoring.promtool import Promtool
from tests.operator.support import solver

from mcq_operator.desired.dashboards import dashboards

ROOT = Path(__file__).resolve().parents[2]
SPEC = {"monitoring": {"dashboards": {"enabled": True}, "alerts": {"answerSeconds": 0.5}}}


def boards() -> dict[str, dict[str, Any]]:
    """Return a solver's dashboards, and the operator's."""
    config_map = dashboards(solver(SPEC))
    assert config_map is not None
    operator_board = json.loads((ROOT / "monitoring/operator/dashboard.json").read_text())
    return {name: json.loads(text) for name, text in config_map["data"].items()} | {
        "operator": operator_board
    }


def panels() -> Iterator[Any]:
    for name, board in boards().items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield pytest.param(panel, id=f"{name}: {panel['title']}")


@pytest.mark.parametrize("panel", [*panels()])
def test_a_panel_has_a_description_a_unit_and_a_query(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 10
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        # Lines without labels in their legend can't be told apart.
        assert target["legendFormat"] or panel["type"] == "stat"


@pytest.mark.parametrize("name", [*boards()])
def test_a_query_uses_existing_variables(name: str) -> None:
    board = boards()[name]
    known = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval"}
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= known


def test_a_solvers_dashboards_are_its_own() -> None:
    """They show the spec's values, and two solvers never share a dashboard."""
    mine = boards()
    other = dashboards(solver(SPEC, name="other"))
    assert other is not None
    uids = [json.loads(text)["uid"] for text in other["data"].values()] + [
        each["uid"] for each in mine.values()
    ]
    assert len(set(uids)) == len(uids) == 7
    assert all(len(uid) <= 40 for uid in uids)
    overview = mine["team-demo-overview.json"]
    variables = {each["name"]: each for each in overview["templating"]["list"]}
    assert variables["solver"]["current"]["value"] == "demo"
    assert variables["namespace"]["current"]["value"] == "team"
    assert variables["answer_seconds"]["query"] == "0.5"
    assert variables["queue_limit"]["query"] == "64"
    assert overview["title"] == "MCQ overview: team/demo"


def test_dashboards_link_to_each_other() -> None:
    for board in boards().values():
        assert board["tags"] == board["links"][0]["tags"] == ["mcq"]
        assert board["links"][0]["includeVars"]


def test_the_operators_dashboard_is_installed_with_its_alerts() -> None:
    kustomization = yaml.safe_load((ROOT / "monitoring/operator/kustomization.yaml").read_text())
    [generated] = kustomization["configMapGenerator"]
    assert generated["files"] == ["mcq-operator.json=dashboard.json"]
    assert generated["options"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize(
    ("conditions", "samples"),
    [
        ({"Ready": ("True", "Answering"), "Degraded": ("False", "AsExpected")}, {'{type="none"}': 0.0}),
        (
            {
                "IngressReady": ("False", "NoAddress"),
                "Degraded": ("True", "Crashing"),
                "Progressing": ("False", "A"),
            },
            {'{type="IngressReady",reason="NoAddress"}': 1.0, '{type="Degraded",reason="Crashing"}': 1.0},
        ),
    ],
)
def test_the_operators_dashboard_shows_every_bad_condition_by_name(
    promtool: Path, tmp_path: Path, conditions: dict[str, tuple[str, str]], samples: dict[str, float]
) -> None:
    [panel] = [each for each in boards()["operator"]["panels"] if each["title"].startswith("Conditions")]
    series = {
        f'mcq_solver_condition{{name="demo",type="{kind}",status="{status}",reason="{reason}"}}': "1x5"
        for kind, (status, reason) in conditions.items()
    }
    [target] = panel["targets"]
    Promtool(promtool, tmp_path, []).query(target["expr"], series, at="3m", samples=samples)
