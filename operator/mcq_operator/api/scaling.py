"""The number of replicas, and how changes roll out."""

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
    """Replicas that stay during a drain; left out, drains take one replica at a time, or all if they share a volume
    that one node mounts."""


class Autoscaling(Model):
    """Scaling by demand: by the number of requests that wait in each replica."""

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
    """HPA: a HorizontalPodAutoscaler on the Pods' metric mcq_queue_depth; it needs an adapter that serves the custom
    metrics API. KEDA: a ScaledObject that queries Prometheus for the same metric."""
    min_replicas: int = Field(1, ge=1, le=1000)
    """The smallest number of replicas."""
    max_replicas: int = Field(10, ge=1, le=1000)
    """The largest number of replicas."""
    target_queue_depth: int = Field(4, ge=1, le=10_000)
    """Waiting requests per replica; the autoscaler adds replicas above this."""
    scale_down_seconds: int = Field(300, ge=0, le=3600)
    """How long demand must stay lower before the autoscaler removes replicas, in seconds."""
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
    """The Prometheus that KEDA queries."""


class Watch(Model):
    """Limits on how much worse the new replicas may answer users than the earlier ones.

    The operator reads both replicas' own counts. If the new ones are worse, the earlier ones answer again, and the
    change counts as refused.
    """

    seconds: int = Field(600, ge=60, le=86_400)
    """How long to watch, in seconds, from the end of the roll-out."""
    max_error_increase: Fraction = 0.02
    """The largest allowed increase of the share of valid questions without an answer."""
    max_abstention_increase: Fraction = 0.1
    """The largest allowed increase of the share of abstentions."""
    max_slowdown: float = Field(1.5, ge=1)
    """The longest allowed mean time of an answer, as a multiple of the earlier replicas' in the same modes; compared
    at the end of the watch."""


class Gate(Model):
    """The exam that a change of model, image or debiasing must pass before users' questions reach the new replicas.

    The operator starts a candidate beside the solver: an MCQSolver with one replica and no way in from outside. The
    candidate takes the exam, and the operator compares its result with that of the current replicas, question by
    question.
    """

    exam_ref: ExamRef
    """The MCQExam of this solver that the candidate must pass."""
    min_accuracy: Fraction | None = None
    """The lowest accuracy that passes. The low end of the one-sided 95 % interval must not be below it."""
    max_regression: Fraction = 0.05
    """The largest allowed loss of accuracy against the current replicas."""
    max_calibration_error: Fraction | None = None
    """The largest expected calibration error that passes."""
    watch: Watch | None = None
    """How to watch the replicas of a change that passed: if they are worse, the earlier ones answer again. Left out,
    they are not watched."""


class Rollout(Model):
    """How a change of the spec rolls out."""

    gate: Gate | None = None
    """The exam for changes that may change answers: of the model or its credentials, the engine, the image,
    answering.debias, storage.cache.claimName or podTemplate. Left out, changes roll out without an exam."""
    auto_rollback: bool = False
    """Whether the operator rolls back to the last spec with all replicas available if the new replicas do not start.
    The rollback lasts until the spec changes again. The old replicas keep answering in any case."""
    startup_seconds: int | None = Field(None, ge=30, le=86_400)
    """How long a replica may take to become ready, in seconds, including fetching and converting its model. Left out:
    the time to fill the model cache at 10 MiB a second, and 5 minutes more."""
