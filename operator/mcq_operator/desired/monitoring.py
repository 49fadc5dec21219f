"""What others need for watching over the replicas."""

from collections.abc import Collection

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.base import Switch
from mcq_operator.models.kinds import SERVICE_MONITOR, Kind

from .manifest import manifest


def is_on(switch: Switch, kind: Kind, *, absent: Collection[Kind]) -> bool:
    """Whether there is to be an object of a kind; Auto means where the cluster has the kind."""
    return kind not in absent if switch == "Auto" else switch


def service_monitor(solver: MCQSolver, *, absent: Collection[Kind] = ()) -> Manifest | None:
    """What makes prometheus-operator's Prometheus scrape each replica."""
    wanted = solver.spec.monitoring.service_monitor
    if not is_on(wanted.enabled, SERVICE_MONITOR, absent=absent):
        return None
    return manifest(
        SERVICE_MONITOR,
        solver,
        labels=wanted.labels,
        spec={
            # The job is the solver's name, and not that of the Service, which is the same by chance.
            "jobLabel": names.INSTANCE_LABEL,
            "selector": {"matchLabels": names.selector_labels(solver)},
            "endpoints": [
                {
                    "port": "probes",
                    "path": "/metrics",
                    "interval": f"{wanted.interval_seconds}s",
                    "scrapeTimeout": f"{min(wanted.interval_seconds, 10)}s",
                }
            ],
        },
    )
