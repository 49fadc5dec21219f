"""HTTP probes of replicas. Their answers are not trusted."""

from .probe_client import ProbeClient, ProbeError, Reply, open_session, replica_url

__all__ = ["ProbeClient", "ProbeError", "Reply", "open_session", "replica_url"]
