"""A local Kubernetes: kind, or the cluster of the current kubectl context."""
