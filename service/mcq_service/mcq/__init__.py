"""The multiple-choice use case: a question in, a structured answer out."""

from mcq_service.mcq.service import Defaults, Event, LabelScores, MCQService
from mcq_service.mcq.typed_questions import TypedAnswers, TypedQuestion, TypedQuestions

__all__ = [
    "Defaults",
    "Event",
    "LabelScores",
    "MCQService",
    "TypedAnswers",
    "TypedQuestion",
    "TypedQuestions",
]
