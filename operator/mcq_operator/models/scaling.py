"""How many replicas there are, and how they are replaced."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from .base import Fraction, Model, http_url, rule, rules
from .resource import ExamRef


class Disruption(Model):
    """How many replicas a drain must leave."""

    min_available: (
        Annotated[
            int | str,
            WithJsonSchema(
                {
                    "x-kubernetes-int-or-string": True,
                    "maxLength": 10,
                    **rules(
                        rule(
                            "type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",
                            "minAvailable must be a number of replicas that is not negative,"
                            " or a percentage, like 50%",
                        )
                    ),
                }
            ),
        ]
        | None
    ) = None
    """Replicas that stay during a drain; left out, drains take one replica at a time."""


class Autoscaling(Model):
    """Replicas by demand: by how many requests wait in each of them."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.maxReplicas >= self.minReplicas",
                "maxReplicas must be at least minReplicas",
                path=".maxReplicas",
            ),
            rule(
                "!self.enabled || self.provider != 'KEDA' || has(self.prometheusAddress)",
                "prometheusAddress is required for provider KEDA: the Prometheus that scrapes the solver, like"
                " http://prometheus-operated.monitoring.svc:9090",
                path=".prometheusAddress",
            ),
            rule(
                "self.provider == 'KEDA' || !has(self.prometheusAddress)",
                "prometheusAddress is only for provider KEDA: an HPA asks the cluster's custom metrics API",
                path=".prometheusAddress",
            ),
        )
    )

    enabled: bool = False
    """Whether an autoscaler sets the number of replicas; spec.replicas is then not used."""
    provider: Literal["HPA", "KEDA"] = "HPA"
    """HPA: a HorizontalPodAutoscaler by the Pods' metric mcq_queue_depth, which needs an adapter that serves the
    custom metrics API. KEDA: a ScaledObject that asks Prometheus for the same."""
    min_replicas: int = Field(1, ge=1, le=1000)
    """The fewest replicas."""
    max_replicas: int = Field(10, ge=1, le=1000)
    """The most replicas."""
    target_queue_depth: int = Field(4, ge=1, le=10_000)
    """Waiting requests a replica above which replicas are added."""
    scale_down_seconds: int = Field(300, ge=0, le=3600)
    """How long demand must have been lower before replicas are removed."""
    prometheus_address: (
        Annotated[
            str,
            http_url(
                "prometheusAddress must be an http:// or https:// URL of a Prometheus, like"
                " http://prometheus-operated.monitoring.svc:9090"
            ),
        ]
        | None
    ) = None
    """The Prometheus that KEDA asks."""


class Gate(Model):
    """What replicas of another model, image or way of answering must show before questions of users reach them.

    One of them is brought up beside the solver, as an MCQSolver of its own without a way in from outside, and sits the
    exam; the result is compared with that of the present replicas, question by question.
    """

    exam_ref: ExamRef
    """The MCQExam of this solver that is sat."""
    min_accuracy: Fraction | None = None
    """The least accuracy, which the 95 % interval (one-sided) must not reach below."""
    max_regression: Fraction = 0.05
    """The greatest loss of accuracy against the present replicas."""
    max_calibration_error: Fraction | None = None
    """The greatest expected calibration error."""


class Rollout(Model):
    """What happens when the spec changes."""

    gate: Gate | None = None
    """The exam that a change has to pass if it may change answers: of the model or its credentials, the engine, the
    image, answering.debias, storage.cache.claimName or podTemplate; left out, none."""
    auto_rollback: bool = False
    """Whether a spec whose replicas do not start is replaced by the last one whose replicas were all available,
    until the spec is changed again. Replicas of that keep answering meanwhile in any case."""
    startup_seconds: int | None = Field(None, ge=30, le=86_400)
    """How long a replica may take to be ready, fetching and converting its model among it; left out, as long as
    filling the model cache takes at 10 MiB a second, and 5 minutes more."""
