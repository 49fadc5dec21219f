"""HTTP probes of replicas. Their answers are not trusted."""

from .http_get import ProbeError, Prober, Reply, connections, replica_url

__all__ = ["ProbeError", "Prober", "Reply", "connections", "replica_url"]
