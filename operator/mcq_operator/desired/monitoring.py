"""The ServiceMonitor of a solver, and the switch of optional monitoring objects."""

from collections.abc import Collection

from mcq_operator.api import Manifest, MCQSolver, names
from mcq_operator.api.base import Switch
from mcq_operator.api.kinds import SERVICE_MONITOR, Kind

from .manifest import manifest


def is_on(switch: Switch, kind: Kind, *, absent: Collection[Kind]) -> bool:
    """Return whether an object of a kind is desired. Auto means that it is if the cluster has the kind."""
    return kind not in absent if switch == "Auto" else switch


def service_monitor(solver: MCQSolver, *, absent: Collection[Kind] = ()) -> Manifest | None:
    """Return the ServiceMonitor, which makes Prometheus scrape each replica, or None if it is off."""
    monitor = solver.spec.monitoring.service_monitor
    if not is_on(monitor.enabled, SERVICE_MONITOR, absent=absent):
        return None
    return manifest(
        SERVICE_MONITOR,
        solver,
        labels=monitor.labels,
        spec={
            # The job is the solver's name, from its label; that the Service has the same name is a coincidence.
            "jobLabel": names.INSTANCE_LABEL,
            "selector": {"matchLabels": names.selector_labels(solver)},
            "endpoints": [
                {
                    "port": "probes",
                    "path": "/metrics",
                    "interval": f"{monitor.interval_seconds}s",
                    "scrapeTimeout": f"{min(monitor.interval_seconds, 10)}s",
                }
            ],
        },
    )
