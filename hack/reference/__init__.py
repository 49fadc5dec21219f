"""The reference of MCQSolver's fields, docs/mcqsolver.md: what each one means, and which objects it changes."""
