"""Conditions with the time of their last transition."""

from collections.abc import Iterable
from datetime import UTC, datetime

from mcq_operator.api import Condition, Resource
from mcq_operator.api.resource_status import LONGEST_MESSAGE, LONGEST_REASON

from .finding import Finding


def stamp(time: datetime) -> str:
    """Format a time as the API does."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_transition_times(resource: Resource, findings: Iterable[Finding], now: datetime) -> list[Condition]:
    """Turn findings into conditions. A new message alone doesn't change the time of the last transition."""
    before = {condition.type: condition for condition in resource.status.conditions}
    conditions = []
    for finding in findings:
        earlier = before.get(finding.type)
        unchanged = earlier is not None and earlier.status == finding.status and earlier.last_transition_time
        conditions.append(
            Condition(
                type=finding.type,
                status=finding.status,
                # Both may quote other programs. The API server refuses the whole status if one of them is too long.
                reason=finding.reason[:LONGEST_REASON],
                message=finding.message[:LONGEST_MESSAGE],
                observed_generation=resource.metadata.generation,
                last_transition_time=earlier.last_transition_time if earlier and unchanged else stamp(now),
            )
        )
    return conditions
