"""Faults between a real operator and a real API server, and what they must not change."""
