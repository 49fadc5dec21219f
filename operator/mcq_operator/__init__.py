"""Keeps MCQSolver resources true: watches them and reconciles their workloads."""
