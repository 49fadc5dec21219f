"""The operator: it watches MCQSolvers and MCQExams, and reconciles their objects."""

__version__ = "0.1.0"
