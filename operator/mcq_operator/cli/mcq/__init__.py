"""The commands for people: `mcq` asks a service, `kubectl mcq` works with a cluster's solvers."""
