"""Grafana's dashboards of a solver. hack/generate writes their JSON from hack/dashboards."""

import json
from functools import cache
from importlib.resources import files

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.kinds import CONFIG_MAP
from mcq_operator.desired.manifest import digest, manifest
from mcq_operator.desired.monitoring import is_on

BOARDS = ("overview", "quality", "inference")


def dashboards(solver: MCQSolver) -> Manifest | None:
    """Return the ConfigMap of the dashboards, or None if they are off. Grafana's sidecar finds it by its labels."""
    options = solver.spec.monitoring.dashboards
    if not is_on(options.enabled, CONFIG_MAP, absent=()):
        return None
    return manifest(
        CONFIG_MAP,
        solver,
        name=names.dashboards_name(solver),
        labels=options.labels,
        # A sidecar puts the files of all ConfigMaps into one folder.
        data={
            f"{solver.namespace}-{solver.name}-{board}.json": _dashboard(solver, board) for board in BOARDS
        },
    )


def _dashboard(solver: MCQSolver, board: str) -> str:
    """Return a dashboard with this solver selected and its spec's values filled in."""
    values = {
        "<digest>": digest(str(solver.key)),
        "<namespace>": solver.namespace,
        "<solver>": solver.name,
        "<answer_seconds>": f"{solver.spec.monitoring.alerts.answer_seconds:g}",
        "<queue_limit>": str(solver.spec.limits.max_queued_requests),
    }
    dashboard = _template(board)
    for placeholder, value in values.items():
        dashboard = dashboard.replace(placeholder, value)
    return dashboard


@cache
def _template(board: str) -> str:
    """Return a dashboard with placeholders for a solver's values. The values need no escapes in JSON.

    It is cached: parsing and writing 48 KB of JSON in each reconcile would take a fifth of its time.
    """
    dashboard = json.loads(files(__package__).joinpath(f"{board}.json").read_text())
    dashboard["uid"] = f"mcq-{board}-<digest>"
    dashboard["title"] = f"{dashboard['title']}: <namespace>/<solver>"
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if name in ("namespace", "solver"):
            variable["current"] = {"selected": True, "text": f"<{name}>", "value": f"<{name}>"}
        elif name in ("answer_seconds", "queue_limit"):
            variable["query"] = f"<{name}>"
    return json.dumps(dashboard, separators=(",", ":"))
