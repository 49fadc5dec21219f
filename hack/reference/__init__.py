"""The references of all fields: what each one means, and which objects one of MCQSolver's changes."""
