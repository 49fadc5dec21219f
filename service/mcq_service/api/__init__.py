"""HTTP: a route parses, calls, answers."""
