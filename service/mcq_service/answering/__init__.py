"""The use cases: a question in, a structured answer out."""

from mcq_service.answering.answering import Answering, Defaults, Event, Letters

__all__ = ["Answering", "Defaults", "Event", "Letters"]
