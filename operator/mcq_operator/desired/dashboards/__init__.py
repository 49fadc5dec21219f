"""Grafana's dashboards of a solver. Their JSON is written by hack/generate, from hack/dashboards."""

import json
from functools import cache
from importlib.resources import files

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
    values = {
        "<digest>": digest(str(solver.key)),
        "<namespace>": solver.namespace,
        "<solver>": solver.name,
        "<answer_seconds>": f"{solver.spec.monitoring.alerts.answer_seconds:g}",
        "<queue_limit>": str(solver.spec.limits.max_queued_requests),
    }
    made = _template(board)
    for mark, value in values.items():
        made = made.replace(mark, value)
    return made


@cache
def _template(board: str) -> str:
    """The dashboard with marks for a solver's values, none of which needs escapes in JSON.

    Made once: to parse and write 48 KB of JSON in each reconcile would take a fifth of its time.
    """
    made = json.loads(files(__package__).joinpath(f"{board}.json").read_text())
    made["uid"] = f"mcq-{board}-<digest>"
    made["title"] = f"{made['title']}: <namespace>/<solver>"
    for variable in made["templating"]["list"]:
        name = variable["name"]
        if name in ("namespace", "solver"):
            variable["current"] = {"selected": True, "text": f"<{name}>", "value": f"<{name}>"}
        elif name in ("answer_seconds", "queue_limit"):
            variable["query"] = f"<{name}>"
    return json.dumps(made, separators=(",", ":"))
