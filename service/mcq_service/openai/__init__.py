"""The OpenAI-compatible use cases: a prompt or a conversation in, the text that follows out."""

from mcq_service.openai.chat import Chats
from mcq_service.openai.completions import Completions
from mcq_service.openai.generation import Completing

__all__ = ["Chats", "Completing", "Completions"]
