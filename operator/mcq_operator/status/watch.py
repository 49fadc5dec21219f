"""The watch of a change that passed its gate: do its replicas answer users as well as the earlier ones did?

Only differences beyond chance count: the low end of the one-sided 95 % interval of Agresti and Caffo (The American
Statistician 54, 2000), which adds a success and a failure to each side.
"""

import math
from collections.abc import Iterator
from datetime import datetime

from mcq_operator.api import GateStatus, MCQSolver
from mcq_operator.api.gate_status import Traffic, WatchStatus
from mcq_operator.api.observed import ObservedSolver
from mcq_operator.api.scaling import Watch

from .pods import present, restarts
from .transitions import stamp

REASON = "WorseThanBefore"
"""The reason of a change that had passed its exam and is refused by the watch."""
FEWEST = 50
"""With fewer questions on either side, nothing is compared."""
RESTARTS = 3
"""After this many restarts of its replicas, a change is refused."""
_QUANTILE = 1.645  # of the normal distribution, one-sided 95 %
_EARLY_QUANTILE = 3.29  # one-sided 99.95 %


def is_needed(solver: MCQSolver, gate: GateStatus | None) -> bool:
    """Return whether the gate needs the replicas' counts: before a change's roll-out, and while it is watched."""
    spec = solver.spec.rollout.gate
    if spec is None or spec.watch is None or gate is None:
        return False
    return gate.phase in {"Waiting", "Sitting"} or (gate.watch is not None and not gate.watch.ended)


def refused(gate: GateStatus | None) -> bool:
    """Return whether the watch has refused the change, which had passed before."""
    return gate is not None and gate.phase == "Refused" and gate.reason == REASON


def advance(
    solver: MCQSolver, gate: GateStatus, observed: ObservedSolver, *, advice: str, now: datetime
) -> GateStatus:
    """Return the gate with the watch's next state. `advice` ends the message of a refusal."""
    spec, recorded = solver.spec.rollout.gate, solver.status.gate
    if spec is None or spec.watch is None or gate.phase != "Passed":
        return gate
    if gate.watch is None:
        if recorded is None or recorded.phase not in {"Waiting", "Sitting"}:
            return gate
        if observed.traffic is None:
            return recorded  # the replicas' answers come within seconds
        return gate.model_copy(update={"watch": WatchStatus(before=observed.traffic)})
    if gate.watch.ended:
        return gate
    if gate.watch.since is None:
        if observed.deployment is None or not observed.deployment.rolled_out(solver):
            return gate
        return gate.model_copy(update={"watch": gate.watch.model_copy(update={"since": stamp(now)})})
    elapsed = (now - datetime.fromisoformat(gate.watch.since)).total_seconds()
    is_last = elapsed >= spec.watch.seconds
    return _compare(gate, gate.watch, spec.watch, observed, advice=advice, is_last=is_last)


def _compare(
    gate: GateStatus,
    watch: WatchStatus,
    limits: Watch,
    observed: ObservedSolver,
    *,
    advice: str,
    is_last: bool,
) -> GateStatus:
    before, after = watch.before, observed.traffic or Traffic()
    ended = watch.model_copy(update={"ended": True, "after": after})
    worse = [*_crashes(observed), *_differences(before, after, limits, is_last=is_last)]
    if worse:
        message = (
            f"The change passed its exam, but its replicas answer worse than the earlier ones: {'; '.join(worse)}."
            f" {advice}"
        )
        changes = {"phase": "Refused", "reason": REASON, "message": message, "watch": ended}
        return gate.model_copy(update=changes)
    if not is_last:
        return gate
    compared = min(before.questions, after.questions) >= FEWEST
    result = "no worse" if compared else f"not compared: fewer than {FEWEST} questions"
    message = f"{gate.message} Watched for {limits.seconds} s: {result} ({_counts(after)}; before: {_counts(before)})."
    return gate.model_copy(update={"message": message, "watch": ended})


def _counts(traffic: Traffic) -> str:
    return (
        f"{traffic.questions} questions, {traffic.failed} without an answer, {traffic.abstained} abstentions"
    )


def _crashes(observed: ObservedSolver) -> Iterator[str]:
    """Yield the restarts of all replicas together, if there are many. A restarted replica has lost its counts."""
    count = sum(restarts(pod) for pod in observed.pods if present(pod))
    if count >= RESTARTS:
        yield f"they restarted {count} times"


def without_way_back(gate: GateStatus, refused: GateStatus) -> GateStatus:
    """Return the gate of a change that is worse but can't be undone, because the earlier ReplicaSet is gone."""
    message = f"{refused.message} But ReplicaSet {gate.replica_set} is gone, so the change's replicas stay."
    return gate.model_copy(update={"watch": refused.watch, "message": message})


def _differences(before: Traffic, after: Traffic, limits: Watch, *, is_last: bool) -> Iterator[str]:
    """Yield what is worse than allowed, with its figures.

    Comparisons before the last one need stronger evidence, because there are many. The time is compared only at the
    end.
    """
    if min(before.questions, after.questions) < FEWEST:
        return
    quantile = _QUANTILE if is_last else _EARLY_QUANTILE
    for name, old, new, limit in (
        ("without an answer", before.failed, after.failed, limits.max_error_increase),
        ("abstained", before.abstained, after.abstained, limits.max_abstention_increase),
    ):
        if _increase(old, before.questions, new, after.questions, quantile) > limit:
            yield (
                f"{new} of {after.questions} questions {name}, before {old} of {before.questions}"
                f" (allowed: {limit:.0%} more)"
            )
    slowdown = _slowdown(before, after) if is_last else None
    if slowdown is not None and slowdown > limits.max_slowdown:
        yield f"an answer takes {slowdown:.1f} times as long (allowed: {limits.max_slowdown:g} times)"


def _increase(old: int, old_total: int, new: int, new_total: int, quantile: float) -> float:
    """Return the low end of the interval of a share's increase."""
    before, after = (old + 1) / (old_total + 2), (new + 1) / (new_total + 2)
    variance = before * (1 - before) / (old_total + 2) + after * (1 - after) / (new_total + 2)
    return after - before - quantile * math.sqrt(variance)


def _slowdown(before: Traffic, after: Traffic) -> float | None:
    """Return how many times as long answers take, for the present mix of modes; None if too few can be compared."""
    earlier = {each.mode: each for each in before.modes if each.questions >= FEWEST}
    compared = [each for each in after.modes if each.questions >= FEWEST and each.mode in earlier]
    expected = sum(
        each.questions * earlier[each.mode].seconds / earlier[each.mode].questions for each in compared
    )
    return sum(each.seconds for each in compared) / expected if expected > 0 else None
