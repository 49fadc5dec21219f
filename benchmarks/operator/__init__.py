"""Benchmark the operator's speed and cost with many solvers against a real API server."""
