"""Question -> prompt: a constant prefix that can be cached, the client's text, and a constant end."""

from mcq_service.prompts.chatml import Prompt, render

__all__ = ["Prompt", "render"]
