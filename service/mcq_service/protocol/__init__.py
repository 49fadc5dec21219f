"""What goes over the wire: every request, response and problem, as pydantic models."""

from mcq_service.protocol.answer import (
    Answer,
    Choice,
    Decision,
    LabelProbability,
    ReasoningDelta,
    Result,
    Results,
    Timings,
    Usage,
)
from mcq_service.protocol.problem import InvalidField, Problem
from mcq_service.protocol.question import (
    MAX_BATCH,
    MAX_REASONING_TOKENS,
    AnswerRequest,
    Batch,
    Debias,
    Malformed,
    Mode,
    Option,
    Question,
)
from mcq_service.protocol.service import Identity, SatExam, Service

__all__ = [
    "MAX_BATCH",
    "MAX_REASONING_TOKENS",
    "Answer",
    "AnswerRequest",
    "Batch",
    "Choice",
    "Debias",
    "Decision",
    "Identity",
    "InvalidField",
    "LabelProbability",
    "Malformed",
    "Mode",
    "Option",
    "Problem",
    "Question",
    "ReasoningDelta",
    "Result",
    "Results",
    "SatExam",
    "Service",
    "Timings",
    "Usage",
]
