"""What computes: the Engine protocol, and the engines behind it."""

from mcq_service.engines.engine import Engine, PromptTooLong, Sequence

__all__ = ["Engine", "PromptTooLong", "Sequence"]
