"""A result is read from an exam's ConfigMap; it is ignored if a status can't hold it."""

import json
from typing import Any

import pytest
from tests.operator.support import NOON, solver

from mcq_operator.api.result import sittings
from mcq_operator.status.finding import Finding
from mcq_operator.status.transitions import with_transition_times

RESULT: dict[str, Any] = {
    "created": "2026-01-01T12:00:00Z",
    "model": "hf://a/b",
    "model_digest": None,
    "precision": "int8",
    "prompt_digest": "x",
    "exams": {"a.csv": "y"},
    "figures": {
        "accuracy": {"right": 3, "total": 4, "value": 0.75, "ci95": [0.3, 0.95]},
        "ece": {"value": 0.1},
    },
    "latency": {"p95_ms": 12.5},
    "verdict": {"outcome": "Passed", "limits": [{"outcome": "Passed", "detail": "is at least 0.5"}]},
    "shards": 1,
    "unanswered": 2,
}
ACCURACY = RESULT["figures"]["accuracy"]
POINT = {"min_confidence": 0.5, "coverage": 0.5, "accuracy": 0.95, "interval": [0.9, 0.98]}


def test_a_good_result_is_read() -> None:
    figures = {**RESULT["figures"], "risk_coverage": [POINT] * 20}
    data = {"a.json": json.dumps({**RESULT, "figures": figures}), "a.report.txt": "no result"}
    (sitting,) = sittings({"data": data})
    assert sitting.result.figures.accuracy.right == 3
    assert sitting.result.figures.risk_coverage[0].interval == (0.9, 0.98)


@pytest.mark.parametrize(
    "change",
    [
        {"figures": {**RESULT["figures"], "accuracy": {**ACCURACY, "value": 5}}},
        {"figures": {**RESULT["figures"], "accuracy": {**ACCURACY, "value": float("nan")}}},
        {"figures": {**RESULT["figures"], "accuracy": {**ACCURACY, "total": 10**30}}},
        {"figures": {**RESULT["figures"], "accuracy": {**ACCURACY, "ci95": [-1, 2]}}},
        {"figures": {**RESULT["figures"], "ece": {"value": float("inf")}}},
        {"figures": {**RESULT["figures"], "risk_coverage": [{**POINT, "interval": [0.9, 1.1]}]}},
        {"figures": {**RESULT["figures"], "risk_coverage": [POINT] * 21}},
        {"latency": {"p95_ms": float("inf")}},
        {"unanswered": -1},
        {"shards": 65},
        {"shards": -1},
        {"model": "x" * 2**19},
        {"exams": {"a.csv": "x" * 2**19}},
        {"created": "2026-01-01T12:00:00"},
        {"verdict": {"outcome": "Passed", "limits": [{"outcome": "Passed", "detail": "x" * 2**19}]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_result_outside_the_limits_of_a_status_is_ignored(change: dict[str, Any]) -> None:
    assert sittings({"data": {"a.json": json.dumps({**RESULT, **change})}}) == []


def test_an_invalid_json_result_is_ignored() -> None:
    assert sittings({"data": {"a.json": "[" * 100_000, "b.json": "{", "c.json": "null"}}) == []


def test_a_condition_truncates_long_text() -> None:
    (condition,) = with_transition_times(
        solver(), [Finding("Ready", "False", "R" * 9999, "m" * 99_999)], NOON
    )
    assert (len(condition.reason), len(condition.message)) == (1024, 32768)
