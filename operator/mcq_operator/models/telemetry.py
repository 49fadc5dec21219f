"""What a solver's replicas tell about themselves, and to whom."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Fraction, Model, http_url, rule, rules


class Tracing(Model):
    """Where spans go."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.enabled || has(self.endpoint)",
                "endpoint is required when tracing is enabled: set tracing.endpoint,"
                " like http://jaeger.monitoring.svc:4318",
                path=".endpoint",
            )
        )
    )

    enabled: bool = False
    """Whether spans are sent."""
    endpoint: (
        Annotated[
            str,
            http_url(
                "endpoint must be an http:// or https:// URL of an OTLP/HTTP receiver, usually port 4318"
            ),
        ]
        | None
    ) = None
    """The OTLP/HTTP receiver."""
    sampling_ratio: Fraction = 1.0
    """The share of requests traced when the caller has not decided, 0 to 1."""


class ServiceMonitor(Model):
    """What makes prometheus-operator scrape the replicas."""

    enabled: bool = False
    """Whether there is a ServiceMonitor."""
    interval_seconds: int = Field(30, ge=1, le=3600)
    """The time between two scrapes."""
    labels: dict[str, str] | None = None
    """Further labels of the ServiceMonitor, for the selector of a Prometheus."""


class Monitoring(Model):
    """What is measured."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """Scraping by Prometheus."""
