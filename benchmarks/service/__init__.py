"""Benchmark the service and its peers on this machine, in one run."""
