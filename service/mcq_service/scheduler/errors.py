"""The errors that the scheduler raises. `api.error_mapping` turns them into problems.

SchedulerError
├── QueueFull        too much work is waiting
├── QueueClosed      the replica is shutting down
└── DeadlinePassed   the request took too long
"""

from __future__ import annotations


class SchedulerError(Exception):
    """The scheduler refused or ended a request; the message says what the client can do."""


class QueueFull(SchedulerError):
    """Too much work is waiting; the client can try again in `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        """Set the message and the number of seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class QueueClosed(SchedulerError):
    """Nothing more is admitted: the replica is shutting down."""


class DeadlinePassed(SchedulerError):
    """The request was not finished in time."""
