"""Who gets the model, and when: admission, queue, continuous batching, cancellation, drain."""

from mcq_service.scheduling.admission import Admission, LanePart, Limits, Slot
from mcq_service.scheduling.batcher import Batcher
from mcq_service.scheduling.jobs import Job, Score
from mcq_service.scheduling.logits import Chooser, Scored
from mcq_service.scheduling.texts import LocalText, LocalTexts, threadsafe

__all__ = [
    "Admission",
    "Batcher",
    "Chooser",
    "Job",
    "LanePart",
    "Limits",
    "LocalText",
    "LocalTexts",
    "Score",
    "Scored",
    "Slot",
    "threadsafe",
]
