"""The problem for each error of engine, scheduler and service."""

from __future__ import annotations

import logging

from mcq_service.api.problems import (
    BadEngine,
    DeadlineExceeded,
    Draining,
    InternalError,
    InvalidField,
    InvalidQuestion,
    OutOfMemory,
    Overloaded,
    ProblemError,
)
from mcq_service.engine import EngineBusy, EngineFailed, PromptTooLong, TooManyChoices
from mcq_service.scheduler import DeadlinePassed, QueueClosed, QueueFull, SchedulerError

_log = logging.getLogger(__name__)
EXPECTED = (PromptTooLong, TooManyChoices, EngineFailed, SchedulerError)
"""Errors that are no defects of the service. Their messages say what to do."""


def as_problem(error: Exception) -> ProblemError:
    """Return the problem for any error; log an unexpected one as a defect of the service."""
    match error:
        case ProblemError():
            return error
        case PromptTooLong():
            field = InvalidField(pointer="/question", detail=str(error))
            return InvalidQuestion(f"Shorten the question. {error}", errors=[field])
        case TooManyChoices():
            return InvalidQuestion(str(error))
        case QueueFull() | EngineBusy():
            return Overloaded(str(error), headers={"Retry-After": str(error.retry_after)})
        case QueueClosed():
            return Draining(str(error))
        case DeadlinePassed():
            return DeadlineExceeded(str(error))
        case EngineFailed():
            return BadEngine(str(error))
        case MemoryError():
            _log.warning("out of memory: %s", error)
            return OutOfMemory("Try again later, or ask for less at once.", headers={"Retry-After": "5"})
    _log.error("a request failed", exc_info=error)
    return InternalError("This is a defect of the service; its log says more.")
