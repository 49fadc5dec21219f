"""What a solver's replicas tell about themselves, and to whom."""

from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema

from .base import Fraction, Model, Switch, http_url, rule, rules


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
    """The share of requests traced, 0 to 1. A caller can only have fewer of its own traced."""


class ServiceMonitor(Model):
    """What makes prometheus-operator scrape the replicas."""

    enabled: Switch = "Auto"
    """Whether there is a ServiceMonitor; Auto: where the cluster has prometheus-operator's CRDs."""
    interval_seconds: int = Field(30, ge=1, le=3600)
    """The time between two scrapes."""
    labels: dict[str, str] | None = None
    """Further labels of the ServiceMonitor, for the selector of a Prometheus."""


Share = Annotated[float, Field(gt=0, lt=1)]
ANSWER_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
"""Those of the histogram mcq_answer_duration_seconds: between them it can't count."""
AnswerBound = Annotated[float, WithJsonSchema({"type": "number", "enum": list(ANSWER_BOUNDS)})]


class Alerts(Model):
    """What Prometheus computes of the metrics, and warns of."""

    enabled: Switch = "Auto"
    """Whether there is a PrometheusRule, with recording rules and alerts; Auto: where the cluster has
    prometheus-operator's CRDs."""
    labels: dict[str, str] | None = None
    """Further labels of the PrometheusRule, for the ruleSelector of a Prometheus."""
    availability_objective: Share = 0.99
    """The share of questions of 30 days that must be answered; the error budget is the rest."""
    answer_seconds: AnswerBound = 4
    """The time within which an answer is quick: one of the bounds of mcq_answer_duration_seconds."""
    latency_objective: Share = 0.95
    """The share of answers of 30 days that must be quick."""
    max_error_ratio: Share = 0.05
    """The share of questions of 5 minutes that may fail."""
    max_queue_ratio: Share = 0.8
    """How full the fullest replica's queue may be, of limits.maxQueuedRequests."""
    max_abstention_ratio: Share = 0.5
    """The share of questions of 30 minutes that may be abstained from."""
    max_calibration_drift: Share = 0.05
    """How far an exam's calibration error may be above its least of 30 days."""


SIDECAR_LABELS = {"grafana_dashboard": "1"}
"""What the sidecar of Grafana's Helm charts looks for."""


class Dashboards(Model):
    """What Grafana draws of the metrics."""

    enabled: Switch = "Auto"
    """Whether there is a ConfigMap with dashboards; Auto: there is one."""
    labels: dict[str, str] = SIDECAR_LABELS
    """Further labels of the ConfigMap, by which Grafana's sidecar finds dashboards."""


class Monitoring(Model):
    """What is measured."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """Scraping by Prometheus."""
    alerts: Alerts = Alerts()
    """Alerting by Prometheus."""
    dashboards: Dashboards = Dashboards()
    """Drawing by Grafana."""
