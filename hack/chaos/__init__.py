"""Inject faults between a real operator and a real API server, and check that the outcome stays the same."""
