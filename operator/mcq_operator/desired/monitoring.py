"""What others need for watching over the replicas."""

from mcq_operator.models import Manifest, MCQSolver, names
from mcq_operator.models.kinds import SERVICE_MONITOR

from .manifest import manifest


def service_monitor(solver: MCQSolver) -> Manifest | None:
    """What makes prometheus-operator's Prometheus scrape each replica."""
    wanted = solver.spec.monitoring.service_monitor
    if not wanted.enabled:
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
