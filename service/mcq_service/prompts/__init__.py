"""Question -> prompt: a constant prefix that can be cached, the client's text, and a constant end."""

from mcq_service.prompts.chat import Span, Turn, conversation
from mcq_service.prompts.chatml import ANSWER_FIRST, FORMS, REASONING_FIRST, Form, Prompt, render

__all__ = [
    "ANSWER_FIRST",
    "FORMS",
    "REASONING_FIRST",
    "Form",
    "Prompt",
    "Span",
    "Turn",
    "conversation",
    "render",
]
