"""How fast the operator is, and what it costs, with many solvers against a real API server."""
