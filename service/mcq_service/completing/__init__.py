"""The OpenAI-compatible use cases: a prompt or a conversation in, the text that follows out."""

from mcq_service.completing.chats import Chats
from mcq_service.completing.completing import Completing
from mcq_service.completing.completions import Completions

__all__ = ["Chats", "Completing", "Completions"]
