"""How a change gets through without passing its gate, and the record of it."""

from typing import Any

import pytest
from tests.operator.status.test_gate_states import (
    EMPTY,
    PROMOTE,
    SITTING,
    examined,
    gate_objects,
    gated,
    looked,
    sat,
    stored,
)
from tests.operator.support import NOON, solver

from mcq_operator import status
from mcq_operator.api import GateStatus
from mcq_operator.status.gate import advance, finding, holds
from mcq_operator.status.transitions import stamp
from mcq_operator.status.waiver import override, ungated_change


def test_an_annotation_lets_a_change_through_and_is_recorded_and_lets_no_other_through() -> None:
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


@pytest.mark.parametrize("words", ["alice: by hand", "fedcba9876543210 alice: by hand", SITTING.change])
def test_an_approval_of_another_change_has_no_effect_and_is_reported(words: str) -> None:
    asked = gated({PROMOTE: words})
    gate = advance(asked, SITTING, gate_objects(), now=NOON)
    assert gate.phase == "Sitting"
    reported = finding(asked, gate, EMPTY)
    assert reported is not None
    assert f"has no effect: it does not name this change, {SITTING.change}," in reported.message
    assert words in reported.message


TERMS = {"exam": "aqua", "minAccuracy": 0.4, "maxRegression": 0.05}


@pytest.mark.parametrize(
    ("gate", "words"),
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
def test_a_gate_loosened_with_the_change_leaves_a_record(gate: dict[str, Any], words: str) -> None:
    loosened = gated(status={"lastGate": TERMS}, **gate)
    reported = advance(loosened, SITTING, gate_objects(candidate_exam=sat("Passed")), now=NOON)
    recorded = override(loosened, reported, now=NOON)
    assert not holds(reported)
    assert words in reported.message
    if words:
        assert reported.reason == "GateLoosened"
        assert recorded is not None
        assert (recorded.reason, recorded.change) == ("GateLoosened", SITTING.change)
        assert recorded.gate == loosened.status.last_gate
    else:
        assert (reported.phase, recorded) == ("Passed", None)


@pytest.mark.parametrize("blocked", [None, SITTING, SITTING.model_copy(update={"phase": "Refused"})])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_gate_removed_with_the_change_or_before_it_leaves_a_record(
    blocked: GateStatus | None, steps: int
) -> None:
    """The change goes through with a Warning, and the status shows the record until the next change."""
    before = looked(gated(status={"promoted": "old"}), blocked, "old")
    assert before.last_gate is not None
    if steps == 2:
        alone = solver(status=stored(before))
        before = looked(alone, ungated_change(alone, "old", unchanged=True), "old")
        assert examined(before) is None
    changed = solver(status=stored(before))
    after = looked(changed, ungated_change(changed, "new", unchanged=False), "new")
    assert (after.promoted, after.last_gate) == ("new", None)
    assert examined(after) == ("Unknown", "GateRemoved")
    assert after.override is not None
    assert (after.override.reason, after.override.change) == ("GateRemoved", "new")
    assert after.override.gate == before.last_gate
    events = [each for each in status.events(changed, after, now=NOON) if each["reason"] == "GateRemoved"]
    assert [each["type"] for each in events] == ["Warning"]
    same = solver(status=stored(after))
    assert looked(same, ungated_change(same, "new", unchanged=True), "new") == after
    another = ungated_change(same, "newer", unchanged=False)
    assert another is None
    assert examined(looked(same, another, "newer")) is None


def test_a_gate_loosened_before_the_change_is_compared_with_the_earlier_gate() -> None:
    before = looked(gated(status={"promoted": "old"}), None, "old")
    alone = looked(gated(status=stored(before), maxRegression=1), None, "old")
    assert alone.last_gate == before.last_gate
    through = SITTING.model_copy(update={"phase": "Overridden", "reason": "GateLoosened"})
    after = looked(gated(status=stored(alone), maxRegression=1), through, "new")
    assert after.last_gate is not None
    assert after.last_gate.max_regression == 1
    tighter = looked(gated(status=stored(after), maxRegression=0.01), through, "new")
    assert tighter.last_gate is not None
    assert tighter.last_gate.max_regression == 0.01


def test_a_removed_gate_delays_nothing_and_emits_no_event() -> None:
    assert ungated_change(solver(status={"promoted": "old"}), "new", unchanged=False) is None
