"""Conditions as they are stored: with the time when each one's status last changed."""

from collections.abc import Iterable
from datetime import UTC, datetime

from mcq_operator.models import Condition, Resource
from mcq_operator.models.status import LONGEST_MESSAGE, LONGEST_REASON

from .finding import Finding


def stamp(time: datetime) -> str:
    """A time as the API writes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dated(resource: Resource, found: Iterable[Finding], now: datetime) -> list[Condition]:
    """Conditions with the time when each one's status last changed, which a new message does not move."""
    before = {condition.type: condition for condition in resource.status.conditions}
    conditions = []
    for finding in found:
        earlier = before.get(finding.type)
        unchanged = earlier is not None and earlier.status == finding.status and earlier.last_transition_time
        conditions.append(
            Condition(
                type=finding.type,
                status=finding.status,
                # Reasons and messages quote others: one that is too long must not keep all the others unwritten.
                reason=finding.reason[:LONGEST_REASON],
                message=finding.message[:LONGEST_MESSAGE],
                observed_generation=resource.metadata.generation,
                last_transition_time=earlier.last_transition_time if earlier and unchanged else stamp(now),
            )
        )
    return conditions
