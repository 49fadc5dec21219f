"""A solver's telemetry: tracing, scraping, alerts and dashboards."""

from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema

from .base import Fraction, Model, Switch, http_url, rule, rules


class Tracing(Model):
    """Where replicas send their spans."""

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
    """Whether replicas send spans."""
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
    """The share of requests traced, 0 to 1. A caller can only lower it for its own requests."""


class ServiceMonitor(Model):
    """The object that makes prometheus-operator scrape the replicas."""

    enabled: Switch = "Auto"
    """Whether there is a ServiceMonitor; Auto: if the cluster has prometheus-operator's CRDs."""
    interval_seconds: int = Field(30, ge=1, le=3600)
    """The time between two scrapes."""
    labels: dict[str, str] | None = None
    """Further labels of the ServiceMonitor, for the selector of a Prometheus."""


Share = Annotated[float, Field(gt=0, lt=1)]
ANSWER_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
"""The bucket bounds of the histogram mcq_answer_duration_seconds; it can't count between them."""
AnswerBound = Annotated[float, WithJsonSchema({"type": "number", "enum": list(ANSWER_BOUNDS)})]


class Alerts(Model):
    """Prometheus' recording rules and alerts on the metrics."""

    enabled: Switch = "Auto"
    """Whether there is a PrometheusRule, with recording rules and alerts; Auto: if the cluster has
    prometheus-operator's CRDs."""
    labels: dict[str, str] | None = None
    """Further labels of the PrometheusRule, for the ruleSelector of a Prometheus."""
    availability_objective: Share = 0.99
    """The share of questions in 30 days that must be answered; the rest is the error budget."""
    answer_seconds: AnswerBound = 4
    """The time limit of a quick answer, in seconds: one of the bounds of mcq_answer_duration_seconds."""
    latency_objective: Share = 0.95
    """The share of answers in 30 days that must be quick."""
    max_error_ratio: Share = 0.05
    """The share of questions in 5 minutes that may fail."""
    max_queue_ratio: Share = 0.8
    """How full the fullest replica's queue may be, as a share of limits.maxQueuedRequests."""
    max_abstention_ratio: Share = 0.5
    """The share of questions in 30 minutes that replicas may abstain from."""
    max_calibration_drift: Share = 0.05
    """How far an exam's calibration error may rise above its lowest in 30 days."""


SIDECAR_LABELS = {"grafana_dashboard": "1"}
"""The label that the sidecar of Grafana's Helm charts looks for."""


class Dashboards(Model):
    """Dashboards of the metrics, for Grafana."""

    enabled: Switch = "Auto"
    """Whether there is a ConfigMap with dashboards; Auto: there is one."""
    labels: dict[str, str] = SIDECAR_LABELS
    """Further labels of the ConfigMap, by which Grafana's sidecar finds dashboards."""


class Monitoring(Model):
    """Scraping, alerts and dashboards."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """Scraping by Prometheus."""
    alerts: Alerts = Alerts()
    """Alerting by Prometheus."""
    dashboards: Dashboards = Dashboards()
    """Dashboards for Grafana."""
