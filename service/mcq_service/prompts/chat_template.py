"""A conversation in the form that the model was trained on: its own chat template, in Jinja.

A client's text can't become a control token: the template renders marks, and the texts replace these as spans of their
own.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mcq_service.prompts.text_span import TextSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CHATML = """\
{% if messages[0].role != 'system' %}
<|im_start|>system
You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>
{% endif %}
{% for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{{ '<|im_start|>assistant\\n' }}"""
"""Of Qwen's instruction models, without tools. For a model that has no template."""

_DATE = datetime(2024, 7, 26, tzinfo=UTC)
"""The date in Llama's templates if there is no clock."""
# Characters of a private-use area around a message's number. The spaces show whether the template trims its messages;
# no template has such spaces of its own.
_MARK = re.compile("\u2003?\ue000([0-9]+)\ue001\u2003?")


class TemplateRefused(Exception):
    """The model's template has no form for this conversation; the message says why, if the template does."""


class Turn(NamedTuple):
    """One message: its role and a client's text."""

    role: str
    text: str


class ChatTemplate:
    """A model's chat template."""

    def __init__(self, source: str = CHATML, *, tokens: Mapping[str, str] | None = None) -> None:
        """Use Jinja `source`; `tokens` are the names of the model's special tokens, such as `bos_token`."""
        self._source = source
        self._tokens = tokens or {}

    @classmethod
    def read(cls, path: Path) -> ChatTemplate:
        """Read the template of the model in a directory."""
        file, settings_file = path / "chat_template.jinja", path / "tokenizer_config.json"
        settings = json.loads(settings_file.read_text()) if settings_file.is_file() else {}
        source = file.read_text() if file.is_file() else _default(settings.get("chat_template"))
        tokens = {name: _text(value) for name, value in settings.items() if name.endswith("_token") and value}
        return cls(source or CHATML, tokens=tokens)

    def spans(self, turns: Sequence[Turn]) -> Iterator[TextSpan]:
        """Yield the prompt in spans; the model continues with the assistant's next turn. Raises TemplateRefused."""
        text, begin = self._render(turns), 0
        for mark in _MARK.finditer(text):
            yield TextSpan(text[begin : mark.start()], trusted=True)
            trimmed = not (mark[0].startswith("\u2003") and mark[0].endswith("\u2003"))
            content = turns[int(mark[1])].text
            yield TextSpan(content.strip() if trimmed else content, trusted=False)
            begin = mark.end()
        yield TextSpan(text[begin:], trusted=True)

    def constant(self, turns: Sequence[Turn]) -> list[str | int]:
        """Return a conversation for a constant prompt: texts, and the index of each turn in its place.

        It has a constant date, because a calibration belongs to the prompt, and no thinking before the reply. Raises
        TemplateRefused, also for a template that omits or repeats a turn.
        """
        text = self._render(turns, strftime_now=_DATE.strftime, enable_thinking=False)
        # The text between the marks, and between two texts the number in a mark.
        pieces = [int(each) if index % 2 else each for index, each in enumerate(_MARK.split(text))]
        order = [each for each in pieces if isinstance(each, int)]
        spoken = [each for each in order if turns[each].role != "system"]
        if len(order) != len(turns) or spoken != sorted({*spoken}) or order[-1:] != [len(turns) - 1]:
            raise TemplateRefused("it has another form than a conversation, turn by turn")
        return pieces

    def _render(self, turns: Sequence[Turn], **variables: Any) -> str:
        """Render the conversation with a mark in place of each turn's text. Raises TemplateRefused."""
        messages = [
            {"role": turn.role, "content": turn.text and f"\u2003\ue000{index}\ue001\u2003"}
            for index, turn in enumerate(turns)
        ]
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, **self._tokens, **variables
            )
        except Exception as error:  # a template raises anything
            raise TemplateRefused(str(error)) from error

    @cached_property
    def _template(self) -> Template:
        # As in transformers, which the models' authors test with.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
        )
        environment.filters["tojson"] = _json
        environment.globals.update(
            raise_exception=_raise, strftime_now=lambda form: datetime.now(UTC).strftime(form)
        )
        return environment.from_string(self._source)


def _default(template: Any) -> str | None:
    """Return the template of tokenizer_config.json: a text, or the default of a list of named ones."""
    if isinstance(template, list):
        template = next((each["template"] for each in template if each["name"] == "default"), None)
    return template if isinstance(template, str) else None


def _text(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _json(value: Any, indent: int | None = None) -> str:
    """Unlike Jinja's own filter, escape nothing for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> None:
    raise TemplateError(message)
