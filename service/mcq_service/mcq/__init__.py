"""The multiple-choice use case: a question in, a structured answer out."""

from mcq_service.mcq.service import Event, LabelScores, MCQService
from mcq_service.mcq.session import AnswerOptions
from mcq_service.mcq.typed_questions import TypedAnswers, TypedQuestion, TypedQuestions

__all__ = [
    "AnswerOptions",
    "Event",
    "LabelScores",
    "MCQService",
    "TypedAnswers",
    "TypedQuestion",
    "TypedQuestions",
]
