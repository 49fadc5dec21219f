"""A change may get through without passing its gate; the status records how."""

from typing import Any

import pytest
from tests.operator.status.test_gate_states import (
    EMPTY,
    PROMOTE,
    SITTING,
    exam_condition,
    finished_exam,
    gate_objects,
    gated,
    next_status,
    stored,
)
from tests.operator.support import NOON, solver

from mcq_operator import status
from mcq_operator.api import GateStatus
from mcq_operator.status.gate import advance, finding, holds
from mcq_operator.status.gate_override import override, ungated_change
from mcq_operator.status.transitions import stamp


def test_an_annotation_lets_only_its_change_through_and_is_recorded() -> None:
    annotations = {PROMOTE: f"{SITTING.change} alice: by hand"}
    through = advance(gated(annotations), SITTING, gate_objects(), now=NOON)
    assert (through.phase, holds(through)) == ("Overridden", False)
    assert "alice: by hand" in through.message
    recorded = override(gated(annotations), through, now=NOON)
    assert recorded is not None
    assert (recorded.annotation, recorded.change) == (annotations[PROMOTE], SITTING.change)
    assert (recorded.reason, recorded.time) == ("Overridden", stamp(NOON))
    used = {"override": recorded.model_dump(by_alias=True)}
    again = advance(gated(annotations, status=used), SITTING, gate_objects(), now=NOON)
    assert again.phase == "Sitting"


def test_an_annotation_of_a_passed_change_has_no_effect() -> None:
    passed = SITTING.model_copy(update={"phase": "Passed"})
    late = {PROMOTE: f"{SITTING.change} alice: late"}
    assert advance(gated(late), passed, gate_objects(), now=NOON) == passed


@pytest.mark.parametrize("approval", ["alice: by hand", "fedcba9876543210 alice: by hand", SITTING.change])
def test_an_approval_of_another_change_has_no_effect_and_is_reported(approval: str) -> None:
    solver_with_approval = gated({PROMOTE: approval})
    gate = advance(solver_with_approval, SITTING, gate_objects(), now=NOON)
    assert gate.phase == "Sitting"
    reported = finding(solver_with_approval, gate, EMPTY)
    assert reported is not None
    assert f"has no effect: it does not name this change, {SITTING.change}," in reported.message
    assert approval in reported.message


LAST_GATE = {"exam": "aqua", "minAccuracy": 0.4, "maxRegression": 0.05}


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        ({"minAccuracy": 0.4, "maxRegression": 0.05}, ""),
        ({"minAccuracy": 0.5, "maxRegression": 0.01, "maxCalibrationError": 0.1}, ""),
        ({"minAccuracy": 0.4, "maxRegression": 0.5}, "maxRegression 0.05, now 0.5."),
        ({"minAccuracy": 0.3, "maxRegression": 0.05}, "minAccuracy 0.4, now 0.3."),
        ({"maxRegression": 0.05}, "minAccuracy 0.4, now none."),
        (
            {"minAccuracy": 0.4, "maxRegression": 0.05, "examRef": {"name": "other"}},
            "examRef aqua, now other.",
        ),
    ],
)
def test_a_gate_loosened_with_the_change_leaves_a_record(gate: dict[str, Any], text: str) -> None:
    loosened = gated(status={"lastGate": LAST_GATE}, **gate)
    reported = advance(loosened, SITTING, gate_objects(candidate_exam=finished_exam("Passed")), now=NOON)
    recorded = override(loosened, reported, now=NOON)
    assert not holds(reported)
    assert text in reported.message
    if text:
        assert reported.reason == "GateLoosened"
        assert recorded is not None
        assert (recorded.reason, recorded.change) == ("GateLoosened", SITTING.change)
        assert recorded.gate == loosened.status.last_gate
    else:
        assert (reported.phase, recorded) == ("Passed", None)


@pytest.mark.parametrize("change", [None, SITTING, SITTING.model_copy(update={"phase": "Refused"})])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_gate_removed_with_the_change_or_before_it_leaves_a_record(
    change: GateStatus | None, steps: int
) -> None:
    """The change gets through with a Warning, and the status shows the record until the next change."""
    before = next_status(gated(status={"promoted": "old"}), change, "old")
    assert before.last_gate is not None
    if steps == 2:
        alone = solver(status=stored(before))
        before = next_status(alone, ungated_change(alone, "old", unchanged=True), "old")
        assert exam_condition(before) is None
    changed = solver(status=stored(before))
    after = next_status(changed, ungated_change(changed, "new", unchanged=False), "new")
    assert (after.promoted, after.last_gate) == ("new", None)
    assert exam_condition(after) == ("Unknown", "GateRemoved")
    assert after.override is not None
    assert (after.override.reason, after.override.change) == ("GateRemoved", "new")
    assert after.override.gate == before.last_gate
    events = [each for each in status.events(changed, after, now=NOON) if each["reason"] == "GateRemoved"]
    assert [each["type"] for each in events] == ["Warning"]
    same = solver(status=stored(after))
    assert next_status(same, ungated_change(same, "new", unchanged=True), "new") == after
    another = ungated_change(same, "newer", unchanged=False)
    assert another is None
    assert exam_condition(next_status(same, another, "newer")) is None


def test_a_gate_loosened_before_the_change_is_compared_with_the_earlier_gate() -> None:
    before = next_status(gated(status={"promoted": "old"}), None, "old")
    alone = next_status(gated(status=stored(before), maxRegression=1), None, "old")
    assert alone.last_gate == before.last_gate
    through = SITTING.model_copy(update={"phase": "Overridden", "reason": "GateLoosened"})
    after = next_status(gated(status=stored(alone), maxRegression=1), through, "new")
    assert after.last_gate is not None
    assert after.last_gate.max_regression == 1
    tighter = next_status(gated(status=stored(after), maxRegression=0.01), through, "new")
    assert tighter.last_gate is not None
    assert tighter.last_gate.max_regression == 0.01


def test_a_removed_gate_delays_nothing_and_emits_no_event() -> None:
    assert ungated_change(solver(status={"promoted": "old"}), "new", unchanged=False) is None
