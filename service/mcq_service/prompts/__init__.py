"""Question to prompt: a constant prefix that can be cached, the client's text, and a constant end."""

from mcq_service.prompts.chat_forms import CHATML, Forms
from mcq_service.prompts.chat_template import ChatTemplate, TemplateRefused, Turn
from mcq_service.prompts.forms import Form, Opening, Prompt
from mcq_service.prompts.mcq_prompt import (
    Openings,
    about_stem,
    render,
    render_about,
    render_judgements,
    render_orders,
)
from mcq_service.prompts.plain_forms import plain_form
from mcq_service.prompts.text_span import TextSpan
from mcq_service.prompts.threads import in_prompt_thread

__all__ = [
    "CHATML",
    "ChatTemplate",
    "Form",
    "Forms",
    "Opening",
    "Openings",
    "Prompt",
    "TemplateRefused",
    "TextSpan",
    "Turn",
    "about_stem",
    "in_prompt_thread",
    "plain_form",
    "render",
    "render_about",
    "render_judgements",
    "render_orders",
]
