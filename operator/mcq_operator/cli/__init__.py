"""The commands beside the operator itself: check, exam report, backup and restore."""
