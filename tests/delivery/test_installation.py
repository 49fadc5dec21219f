"""The waits of an installation end with what the operator says about a solver."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hack import installation
from hack.errors import InstallError
from hack.installation import Solver, wait_updated

from mcq_operator.api.names import PAUSE_UPGRADE

if TYPE_CHECKING:
    from hack.kubectl import Kubectl

SOLVER = Solver("team", "demo")


def held_back(message: str, *, generation: int = 1) -> dict[str, Any]:
    """Return a solver whose operator keeps its earlier replicas."""
    condition = {"type": "Progressing", "reason": "UpgradeHeldBack", "observedGeneration": generation}
    return {"metadata": {"generation": 1}, "status": {"conditions": [condition | {"message": message}]}}


def wait(monkeypatch: pytest.MonkeyPatch, live: dict[str, Any]) -> None:
    """Wait for a new image of a solver that runs the old one."""
    monkeypatch.setattr(installation, "running_image", lambda *_: "old")
    wait_updated(cast("Kubectl", lambda *_: json.dumps(live)), SOLVER, "new", seconds=0)


def test_a_paused_solver_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InstallError, match=f"kubectl annotate -n team mcqsolver/demo {PAUSE_UPGRADE}-"):
        wait(monkeypatch, held_back(f"The annotation {PAUSE_UPGRADE} keeps the previous release's replicas."))


@pytest.mark.parametrize(
    "live",
    [
        held_back(f"The annotation {PAUSE_UPGRADE} keeps the replicas.", generation=0),
        held_back("This one waits for its turn."),
        {"metadata": {"generation": 1}},
    ],
)
def test_other_solvers_get_their_time(monkeypatch: pytest.MonkeyPatch, live: dict[str, Any]) -> None:
    with pytest.raises(
        InstallError, match="After 0 s the Deployment of mcqsolver/demo does not have the image new"
    ):
        wait(monkeypatch, live)
