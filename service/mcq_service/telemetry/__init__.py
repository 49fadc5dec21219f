"""Metrics, traces and logs. All their names are defined here."""

from mcq_service.telemetry.metrics import Metrics
from mcq_service.telemetry.tracing import Tracing

__all__ = ["Metrics", "Tracing"]
