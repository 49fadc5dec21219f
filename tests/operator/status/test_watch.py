"""The watch of a change's replicas: what it compares, and when it refuses."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.operator.status.test_gate_states import SITTING, gated
from tests.operator.support import NOON, deployment, pod

from mcq_operator.api import GateStatus, Manifest
from mcq_operator.api.gate_status import ModeTraffic, Traffic, WatchStatus
from mcq_operator.api.observed import ObservedSolver
from mcq_operator.status import watch
from mcq_operator.status.transitions import stamp

WATCH = {"seconds": 600, "maxErrorIncrease": 0.02, "maxAbstentionIncrease": 0.1, "maxSlowdown": 1.5}
PASSED = SITTING.model_copy(update={"phase": "Passed", "reason": "Passed", "previous": "old"})
GOOD = Traffic(
    questions=1000, failed=1, abstained=50, modes=[ModeTraffic(mode="explain", questions=900, seconds=900)]
)


def traffic(questions: int = 1000, failed: int = 1, abstained: int = 50, **seconds: float) -> Traffic:
    """Return the traffic of a solver. An answer takes a second in mode explain, or `seconds` in each given mode."""
    modes = [
        ModeTraffic(mode=mode, questions=questions, seconds=each * questions)
        for mode, each in (seconds or {"explain": 1.0}).items()
    ]
    return Traffic(questions=questions, failed=failed, abstained=abstained, modes=modes)


def watched(since: float | None = 60, before: Traffic = GOOD) -> GateStatus:
    """Return a change that passed. Its roll-out was complete `since` seconds ago."""
    began = None if since is None else stamp(NOON - timedelta(seconds=since))
    return PASSED.model_copy(update={"watch": WatchStatus(since=began, before=before)})


def advance(
    gate: GateStatus, after: Traffic | None, *, recorded: GateStatus | None = None, complete: bool = True,
    pods: Sequence[Manifest] = (), **spec: Any,
) -> GateStatus:  # fmt: skip
    solver = gated(status={"gate": (recorded or gate).model_dump()}, watch={**WATCH, **spec})
    observed = ObservedSolver(
        deployment=deployment(**({} if complete else {"updated": 1})), traffic=after, pods=[*pods]
    )
    return watch.advance(solver, gate, observed, advice="Do this.", now=NOON)


def test_the_earlier_replicas_counts_are_recorded_when_the_change_passes() -> None:
    assert advance(PASSED, None, recorded=SITTING) == SITTING, "the counts come within seconds"
    began = advance(PASSED, GOOD, recorded=SITTING).watch
    assert began is not None
    assert (began.before, began.since, began.ended) == (GOOD, None, False)
    assert advance(PASSED, GOOD).watch is None, "a change that had passed before the gate had a watch"


def test_the_watch_begins_with_the_end_of_the_roll_out() -> None:
    assert advance(watched(None), GOOD, complete=False) == watched(None)
    begun = advance(watched(None), GOOD).watch
    assert begun is not None
    assert begun.since == stamp(NOON)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (traffic(failed=60), "60 of 1000 questions without an answer, before 1 of 1000 (allowed: 2% more)"),
        (traffic(abstained=200), "200 of 1000 questions abstained, before 50 of 1000 (allowed: 10% more)"),
        (traffic(explain=1.6), "an answer takes 1.6 times as long (allowed: 1.5 times)"),
    ],
)
def test_worse_replicas_are_refused_with_the_figures(after: Traffic, message: str) -> None:
    refused = advance(watched(600), after)
    assert (refused.phase, refused.reason) == ("Refused", watch.REASON)
    assert message in refused.message
    assert refused.message.endswith("Do this.")
    assert refused.watch is not None
    assert (refused.watch.ended, refused.watch.after) == (True, after)
    assert watch.refused(refused)


def test_before_the_end_only_strong_evidence_counts() -> None:
    """There are many looks, and the time of an answer varies much."""
    assert advance(watched(60), traffic(failed=200)).phase == "Refused"
    for after in (traffic(failed=40), traffic(explain=1.6)):
        assert advance(watched(60), after) == watched(60)
        assert advance(watched(600), after).phase == "Refused"


def test_replicas_that_restart_are_refused() -> None:
    """They have lost their counts, and the roll-out is not complete meanwhile."""
    crashed = [
        pod("demo-1", containerStatuses=[{"restartCount": 2}]),
        pod("demo-2", containerStatuses=[{"restartCount": 1}]),
    ]
    refused = advance(watched(60), None, complete=False, pods=crashed)
    assert (refused.phase, refused.reason) == ("Refused", watch.REASON)
    assert "they restarted 3 times" in refused.message
    assert advance(watched(60), None, pods=crashed[:1]) == watched(60)


def test_a_change_whose_earlier_replicas_are_gone_stays() -> None:
    gone = watch.without_way_back(watched(), advance(watched(600), traffic(failed=200)))
    assert gone.phase == "Passed"
    assert "ReplicaSet demo-1 is gone, so the change's replicas stay" in gone.message
    assert gone.watch is not None
    assert gone.watch.ended


@pytest.mark.parametrize(
    "after",
    [
        traffic(failed=25),  # 2.4 points more, and the interval begins below 2 points
        traffic(abstained=140),
        traffic(explain=1.4),
        traffic(answer=9.0),  # no such mode before
        traffic(questions=40, failed=40, abstained=0),  # too few
        traffic(questions=60, failed=1, abstained=3),
        None,
    ],
)
def test_other_replicas_stay_until_the_watch_ends(after: Traffic | None) -> None:
    """A difference within the limit, or that may be chance, is none."""
    assert advance(watched(599), after) == watched(599)
    kept = advance(watched(600), after)
    assert kept.phase == "Passed"
    assert ("not compared" in kept.message) is ((after or Traffic()).questions < watch.FEWEST)
    assert kept.watch is not None
    assert (kept.watch.ended, kept.watch.after) == (True, after or Traffic())
    assert advance(kept, traffic(failed=900)) == kept, "it has ended"


def test_without_counts_of_the_earlier_replicas_nothing_is_refused() -> None:
    assert advance(watched(600, before=Traffic()), traffic(failed=900)).phase == "Passed"


def test_the_counts_are_needed_only_around_a_watched_change() -> None:
    """Otherwise the replicas are not asked."""
    plain, watching = gated(), gated(watch=WATCH)
    ended = PASSED.model_copy(update={"watch": WatchStatus(before=GOOD, ended=True)})
    assert [watch.is_needed(watching, each) for each in (None, SITTING, watched(), PASSED, ended)] == [
        False, True, True, False, False
    ]  # fmt: skip
    assert not any(watch.is_needed(plain, each) for each in (None, SITTING, watched()))


def test_a_fault_of_a_percent_is_found_among_many_questions_and_chance_is_not() -> None:
    """The interval shrinks with the questions: 3 points more of 10,000 are beyond 2, of 300 not."""
    assert advance(watched(600, before=traffic(10_000, 10)), traffic(10_000, 310)).phase == "Refused"
    assert advance(watched(600, before=traffic(300, 0)), traffic(300, 9)).phase == "Passed"
