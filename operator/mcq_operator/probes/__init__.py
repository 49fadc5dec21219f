"""HTTP probes of replicas. Their answers are not trusted."""
