"""Benchmarks: the speed of the service and the operator, and the service's score under another project's harness."""
