"""The OpenAI-compatible use cases: continue a prompt or a conversation."""

from mcq_service.openai.chat import ChatCompletions
from mcq_service.openai.completions import Completions
from mcq_service.openai.generation import Generation

__all__ = ["ChatCompletions", "Completions", "Generation"]
