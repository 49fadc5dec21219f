"""The multiple-choice use case: a question in, a structured answer out."""

from mcq_service.mcq.service import Defaults, Event, LabelScores, MCQService

__all__ = ["Defaults", "Event", "LabelScores", "MCQService"]
