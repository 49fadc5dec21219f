"""A Kubernetes on this machine: the local one of this package, kind, or the current kubectl context."""
