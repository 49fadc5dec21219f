"""The reference pages: the meaning of each field, and the objects that a field of MCQSolver changes."""
