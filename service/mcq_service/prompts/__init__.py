"""Question to prompt: a constant prefix that can be cached, the client's text, and a constant end."""

from mcq_service.prompts.chat_forms import ANSWER_FIRST, REASONING_FIRST
from mcq_service.prompts.chat_template import ChatTemplate, TemplateRefused, Turn
from mcq_service.prompts.forms import Form, Opening, Prompt
from mcq_service.prompts.mcq_prompt import Openings, render, render_about, render_judgement
from mcq_service.prompts.plain_forms import plain_form
from mcq_service.prompts.text_span import TextSpan

ANSWER_FORMS = {
    "chat, 1 example": ANSWER_FIRST,
    "plain, no example": plain_form(0),
    "plain, 5 examples": plain_form(5),
}
"""The forms that ask for a letter, by name. The first is the default for a model without a calibration."""


def answer_form(digest: str) -> Form:
    """Return the form with this digest. Raises KeyError."""
    return {form.digest: form for form in ANSWER_FORMS.values()}[digest]


__all__ = [
    "ANSWER_FIRST",
    "ANSWER_FORMS",
    "REASONING_FIRST",
    "ChatTemplate",
    "Form",
    "Opening",
    "Openings",
    "Prompt",
    "TemplateRefused",
    "TextSpan",
    "Turn",
    "answer_form",
    "plain_form",
    "render",
    "render_about",
    "render_judgement",
]
