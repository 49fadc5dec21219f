"""Who gets the model, and when: admission, queue, turns, deadlines, cancellation, drain."""

from mcq_service.scheduling.scheduler import Scheduler, Turns, Work

__all__ = ["Scheduler", "Turns", "Work"]
