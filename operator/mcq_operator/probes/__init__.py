"""HTTP probes of replicas. Their answers are not trusted."""

from .prober import ProbeError, Prober, Reply, connections, replica_url

__all__ = ["ProbeError", "Prober", "Reply", "connections", "replica_url"]
