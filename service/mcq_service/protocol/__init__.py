"""What goes over the wire: every request, response and problem, as pydantic models."""

from mcq_service.protocol.answer import Answer, Choice, LabelProbability, Timings, Usage
from mcq_service.protocol.problem import InvalidField, Problem
from mcq_service.protocol.question import MAX_REASONING_TOKENS, Mode, Option, Question

__all__ = [
    "MAX_REASONING_TOKENS",
    "Answer",
    "Choice",
    "InvalidField",
    "LabelProbability",
    "Mode",
    "Option",
    "Problem",
    "Question",
    "Timings",
    "Usage",
]
