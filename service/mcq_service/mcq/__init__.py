"""The multiple-choice use case: a question in, a structured answer out."""

from mcq_service.mcq.service import Event, MCQService
from mcq_service.mcq.session import AnswerOptions
from mcq_service.mcq.typed_questions import TypedAnswers, TypedQuestion, TypedQuestions

__all__ = [
    "AnswerOptions",
    "Event",
    "MCQService",
    "TypedAnswers",
    "TypedQuestion",
    "TypedQuestions",
]
