"""Metrics, traces and logs: their names stand here and nowhere else."""

from mcq_service.telemetry.metrics import Metrics
from mcq_service.telemetry.tracing import Tracing

__all__ = ["Metrics", "Tracing"]
