"""Question -> prompt: a constant prefix that can be cached, the client's text, and a constant end."""

from mcq_service.prompts.chat_forms import ANSWER_FIRST, REASONING_FIRST
from mcq_service.prompts.chat_template import Span, Turn, conversation
from mcq_service.prompts.forms import Form, Prompt
from mcq_service.prompts.mcq_prompt import render
from mcq_service.prompts.plain_forms import plain

ANSWER_FORMS = {
    "chat, 1 example": ANSWER_FIRST,
    "plain, no example": plain(0),
    "plain, 5 examples": plain(5),
}
"""Those that a letter can be asked for in, by name. The first is the form of a model that was not measured."""


def answer_form(digest: str) -> Form:
    """The form that a letter is asked for in, by its digest. Raises KeyError."""
    return {form.digest: form for form in ANSWER_FORMS.values()}[digest]


__all__ = [
    "ANSWER_FIRST",
    "ANSWER_FORMS",
    "REASONING_FIRST",
    "Form",
    "Prompt",
    "Span",
    "Turn",
    "answer_form",
    "conversation",
    "plain",
    "render",
]
