"""The problem for each error of engine, scheduler and service."""

from __future__ import annotations

import logging

from mcq_service.api.openai.chat_schemas import SCHEMA_POINTER
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
from mcq_service.engine import BadSchema, EngineBusy, EngineFailed, PromptTooLong, TooManyChoices
from mcq_service.prompts import TemplateRefused
from mcq_service.scheduler import DeadlinePassed, QueueClosed, QueueFull, SchedulerError

_log = logging.getLogger(__name__)
_NO_THREAD = "can't start new thread"  # CPython's RuntimeError at the limit of memory or of threads
_REFUSALS: dict[type[Exception], tuple[str | None, str]] = {
    BadSchema: (SCHEMA_POINTER, "No text can follow this schema: "),
    PromptTooLong: ("/question", "Shorten the question. "),
    TemplateRefused: ("/messages", "The model's chat template refuses this conversation: "),
    TooManyChoices: (None, ""),
}
"""For each refusal: the pointer to the wrong part of the request, if it is known, and the beginning of the message."""
EXPECTED: tuple[type[Exception], ...] = (*_REFUSALS, EngineFailed, SchedulerError)
"""Errors that are not the service's fault. Their messages say what to do."""


def as_problem(error: Exception) -> ProblemError:
    """Return the problem for any error; log an unexpected one as a defect of the service."""
    match error:
        case ProblemError():
            return error
        case _ if type(error) in _REFUSALS:
            return _refusal(error)
        case QueueFull() | EngineBusy():
            return Overloaded(str(error), headers={"Retry-After": str(error.retry_after)})
        case QueueClosed():
            return Draining(str(error))
        case DeadlinePassed():
            return DeadlineExceeded(str(error))
        case EngineFailed():
            return BadEngine(str(error))
        case _ if isinstance(error, MemoryError) or str(error) == _NO_THREAD:
            _log.warning("out of memory: %s", error)
            return OutOfMemory("Try again later, or ask for less at once.", headers={"Retry-After": "5"})
    _log.error("a request failed", exc_info=error)
    return InternalError("This is a defect of the service; its log says more.")


def _refusal(error: Exception) -> InvalidQuestion:
    pointer, beginning = _REFUSALS[type(error)]
    fields = [InvalidField(pointer=pointer, detail=str(error))] if pointer else None
    return InvalidQuestion(f"{beginning}{error}", errors=fields)
