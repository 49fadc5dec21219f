"""Grafana's dashboards of a solver. Their JSON is written by hack/generate, from hack/dashboards."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from mcq_operator.desired.manifest import digest, manifest
from mcq_operator.desired.monitoring import is_on
from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import CONFIG_MAP

BOARDS = ("overview", "quality", "inference")


def dashboards(solver: MCQSolver) -> Manifest | None:
    """The ConfigMap by whose labels a Grafana's sidecar finds them."""
    wanted = solver.spec.monitoring.dashboards
    if not is_on(wanted.enabled, CONFIG_MAP, absent=()):
        return None
    return manifest(
        CONFIG_MAP,
        solver,
        name=names.dashboards_name(solver),
        labels=wanted.labels,
        # A sidecar puts the files of all ConfigMaps into one folder.
        data={f"{solver.namespace}-{solver.name}-{board}.json": _of(solver, board) for board in BOARDS},
    )


def _of(solver: MCQSolver, board: str) -> str:
    """The dashboard with this solver chosen, and what its spec says filled in."""
    made = json.loads(_text(board))
    made["uid"] = f"mcq-{board}-{digest(str(solver.key))}"
    made["title"] = f"{made['title']}: {solver.key}"
    chosen = {"namespace": solver.namespace, "solver": solver.name}
    constants = {
        "answer_seconds": f"{solver.spec.monitoring.alerts.answer_seconds:g}",
        "queue_limit": str(solver.spec.limits.max_queued_requests),
    }
    for variable in made["templating"]["list"]:
        _set(variable, chosen=chosen, constants=constants)
    return json.dumps(made, separators=(",", ":"))


@cache
def _text(board: str) -> str:
    """Read once, and not in each reconcile."""
    return files(__package__).joinpath(f"{board}.json").read_text()


def _set(variable: dict[str, Any], *, chosen: dict[str, str], constants: dict[str, str]) -> None:
    if value := chosen.get(variable["name"]):
        variable["current"] = {"selected": True, "text": value, "value": value}
    if value := constants.get(variable["name"]):
        variable["query"] = value
