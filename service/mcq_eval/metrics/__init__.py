"""Statistics of answered questions; pure functions."""
