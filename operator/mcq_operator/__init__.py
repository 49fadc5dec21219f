"""Keeps MCQSolver resources true: watches them and reconciles their workloads."""

__version__ = "0.1.0"
