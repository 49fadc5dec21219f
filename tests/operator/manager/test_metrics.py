"""The metrics of an exam's status."""

import pytest
from prometheus_client import CollectorRegistry
from tests.operator.support import exam

from mcq_operator.api import ExamStatus
from mcq_operator.manager.metrics import Metrics


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("True", "Passed", 1.0),
        ("False", "Failed", 0.0),
        ("Unknown", "Inconclusive", 0.0),
        ("Unknown", "NotSat", None),
        ("Unknown", "Restored", None),
    ],
)
def test_passed_is_about_a_proven_result_of_the_current_replicas(
    status: str, reason: str, expected: float | None
) -> None:
    condition = {
        "type": "Passed",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }
    metrics = Metrics(CollectorRegistry())
    reported = ExamStatus.model_validate({"solver": "demo", "accuracy": 0.75, "conditions": [condition]})
    metrics.export_status(exam({}).key, reported)
    labels = {"namespace": "team", "name": exam({}).metadata.name, "solver": "demo"}
    assert metrics.registry.get_sample_value("mcq_exam_passed", labels) == expected
    assert metrics.registry.get_sample_value("mcq_exam_accuracy_ratio", labels) == 0.75
