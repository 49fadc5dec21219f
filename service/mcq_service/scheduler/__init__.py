"""Who gets the model, and when: admission, queue, continuous batching, cancellation, drain."""

from mcq_service.scheduler.admission import Admission, LanePart, Limits, Slot
from mcq_service.scheduler.local_text import LocalText, LocalTexts, threadsafe
from mcq_service.scheduler.sampler import Chooser, Scored
from mcq_service.scheduler.scheduler import Batcher
from mcq_service.scheduler.tasks import Job, Score

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
