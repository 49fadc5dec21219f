"""Requests to replicas, whose answers are not trusted."""

from .prober import ProbeError, Prober, Reply, connections, replica_url

__all__ = ["ProbeError", "Prober", "Reply", "connections", "replica_url"]
