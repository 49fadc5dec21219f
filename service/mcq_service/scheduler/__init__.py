"""Share the model among requests: admission, queue, continuous batching, cancellation, drain."""

from mcq_service.scheduler.admission import Admission, Limits
from mcq_service.scheduler.errors import DeadlinePassed, QueueClosed, QueueFull, SchedulerError
from mcq_service.scheduler.local_text import LocalText, threadsafe
from mcq_service.scheduler.local_text_engine import LocalTextEngine
from mcq_service.scheduler.request_parts import RequestPart
from mcq_service.scheduler.sampler import Sampler, ScoredToken
from mcq_service.scheduler.scheduler import Scheduler
from mcq_service.scheduler.slot import Slot
from mcq_service.scheduler.tasks import Task

__all__ = [
    "Admission",
    "DeadlinePassed",
    "Limits",
    "LocalText",
    "LocalTextEngine",
    "QueueClosed",
    "QueueFull",
    "RequestPart",
    "Sampler",
    "Scheduler",
    "SchedulerError",
    "ScoredToken",
    "Slot",
    "Task",
    "threadsafe",
]
