"""The operator's metrics: its own, and the statuses of solvers and exams."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcq_operator.api import ExamKey, ExamStatus, Key, ResourceStatus, SolverKey, SolverStatus
from mcq_operator.status.exam import NOT_SAT, RESTORED


class _ConditionLabels(NamedTuple):
    type: str
    status: str
    reason: str


class SolverCollector(Collector):
    """The status of each existing solver as metrics."""

    def __init__(self) -> None:
        """Start without solvers."""
        self._statuses: dict[SolverKey, tuple[int, list[_ConditionLabels]]] = {}

    def export(self, key: SolverKey, status: SolverStatus | None) -> None:
        """Export the status of this solver from now on; None removes it."""
        if status is None:
            self._statuses.pop(key, None)
        else:
            conditions = [_ConditionLabels(each.type, each.status, each.reason) for each in status.conditions]
            self._statuses[key] = status.ready_replicas, conditions

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        solver = ["namespace", "name"]
        ready = GaugeMetricFamily(
            "mcq_solver_ready", "1 when the solver's Ready condition is True, else 0.", labels=solver
        )
        replicas = GaugeMetricFamily("mcq_solver_ready_replicas", "Replicas that can answer.", labels=solver)
        conditions = GaugeMetricFamily(
            "mcq_solver_condition",
            "1 for each current condition of the solver.",
            labels=[*solver, "type", "status", "reason"],
        )
        for key, (count, solver_conditions) in list(self._statuses.items()):
            labels = [key.namespace, key.name]
            replicas.add_metric(labels, count)
            for condition in solver_conditions:
                if condition.type == "Ready":
                    ready.add_metric(labels, condition.status == "True")
                conditions.add_metric([*labels, *condition], 1)
        yield from (ready, replicas, conditions)


class ExamCollector(Collector):
    """The last result of each existing exam as metrics."""

    LABELS = ("namespace", "name", "solver")

    def __init__(self) -> None:
        """Start without exams."""
        self._statuses: dict[ExamKey, ExamStatus] = {}

    def export(self, key: ExamKey, status: ExamStatus | None) -> None:
        """Export the result of this exam from now on; None, or a status without a result, removes it."""
        if status is None or status.accuracy is None:
            self._statuses.pop(key, None)
        else:
            self._statuses[key] = status

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        for name, (description, value) in _EXAM_GAUGES.items():
            gauge = GaugeMetricFamily(name, description, labels=self.LABELS)
            for key, status in list(self._statuses.items()):
                number = value(status)
                if number is not None:
                    gauge.add_metric([key.namespace, key.name, status.solver], number)
            yield gauge


def _sat(status: ExamStatus) -> float | None:
    return datetime.fromisoformat(status.sat).timestamp() if status.sat else None


def _passed(status: ExamStatus) -> float | None:
    passed = status.condition("Passed")
    if passed is None or passed.reason in {NOT_SAT, RESTORED}:
        return None  # the figures are of earlier replicas, or unproven, and those of the current ones are awaited
    return float(passed.status == "True")


_EXAM_GAUGES: dict[str, tuple[str, Callable[[ExamStatus], float | None]]] = {
    "mcq_exam_accuracy_ratio": (
        "The share of right answers in the last sitting.",
        lambda status: status.accuracy,
    ),
    "mcq_exam_accuracy_low_ratio": (
        "The low end of the accuracy's 95 % interval.",
        lambda status: status.ci95.low if status.ci95 else None,
    ),
    "mcq_exam_accuracy_high_ratio": (
        "The high end of the accuracy's 95 % interval.",
        lambda status: status.ci95.high if status.ci95 else None,
    ),
    "mcq_exam_calibration_error_ratio": (
        "The expected calibration error of the last sitting.",
        lambda status: status.calibration_error,
    ),
    "mcq_exam_questions": ("Answered questions in the last sitting.", lambda status: status.count),
    "mcq_exam_sat_timestamp_seconds": ("When the last sitting ended.", _sat),
    "mcq_exam_passed": ("1 when the result of the current replicas meets spec.pass, else 0.", _passed),
}


class Metrics:
    """All metrics of the operator, in their own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        self.registry = registry
        ProcessCollector(registry=registry)
        self.reconciles = Counter(
            "mcq_operator_reconciles", "Finished reconciles by outcome.", ["outcome"], registry=registry
        )
        self.duration = Histogram(
            "mcq_operator_reconcile_duration_seconds",
            "Time from the start of a reconcile to its end.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.requests = Counter(
            "mcq_operator_requests",
            "Requests to the API server, without watches.",
            ["method"],
            registry=registry,
        )
        self.writes = Counter(
            "mcq_operator_writes",
            "Writes that the API server accepted.",
            ["kind", "verb"],
            registry=registry,
        )
        self.queue_depth = Gauge(
            "mcq_operator_queue_depth", "Solvers and exams waiting to be reconciled.", registry=registry
        )
        self.watch_age = Gauge(
            "mcq_operator_watch_age_seconds",
            "The seconds for which expected events of a kind have been missing; 0 when none is missing.",
            ["kind"],
            registry=registry,
        )
        self.longest = Gauge(
            "mcq_operator_longest_running_reconcile_seconds",
            "Time since the start of the longest running reconcile; 0 when none runs.",
            registry=registry,
        )
        self.leader = Gauge(
            "mcq_operator_leader", "1 while this process holds the lease, else 0.", registry=registry
        )
        self._solvers = SolverCollector()
        self._exams = ExamCollector()
        registry.register(self._solvers)
        registry.register(self._exams)

    def export_status(self, key: Key, status: ResourceStatus | None) -> None:
        """Export a resource's status; None if the resource is gone."""
        if isinstance(key, SolverKey):
            self._solvers.export(key, status if isinstance(status, SolverStatus) else None)
        elif isinstance(key, ExamKey):
            self._exams.export(key, status if isinstance(status, ExamStatus) else None)

    def count_request(self, method: str) -> None:
        """Count a request."""
        self.requests.labels(method=method).inc()

    def count_write(self, kind: str, verb: str) -> None:
        """Count a write."""
        self.writes.labels(kind=kind, verb=verb).inc()
