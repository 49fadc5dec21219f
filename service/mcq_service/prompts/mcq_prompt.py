"""The multiple-choice prompt: a question and its choices in a form, keeping meaningful white space."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from mcq_service.api.mcq.choices import Option
from mcq_service.prompts.chat_forms import CHATML
from mcq_service.prompts.forms import Form, Opening, Prompt
from mcq_service.prompts.text_span import TextSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcq_service.api.mcq.question_schemas import Question

LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French", "he": "Hebrew",
    "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""The name of each `language` in the prompt."""

OpeningKey = tuple[int, int, int]


class Openings:
    """The openings of one request's prompts: one for all questions with the same examples, instructions and context.

    The questions must live as long as this object.
    """

    def __init__(self) -> None:
        """Start without openings."""
        self._by_key: dict[tuple[Form, str | None, OpeningKey], Opening] = {}
        self._by_text: dict[tuple[Form, tuple[TextSpan, ...]], Opening] = {}

    @staticmethod
    def key(question: Question) -> OpeningKey:
        """Return the identity of a question's examples, instructions and context, which its batch may share."""
        return id(question.examples), id(question.instructions), id(question.context)

    def opening(self, question: Question, form: Form, *, language: str | None = None) -> Opening | None:
        """Return the opening of a question's prompt in a form; None if nothing comes before the question.

        `language` is that of the reasoning, if the model is to write some and its language was asked for.
        """
        if not question.has_opening and language is None:
            return None
        key = form, language, self.key(question)
        if key not in self._by_key:
            spans = tuple(_opening_spans(question, form, language))
            self._by_key[key] = self._by_text.setdefault((form, spans), Opening(spans))
        return self._by_key[key]


def render(
    question: Question, form: Form = CHATML.answer_first, *, options: Sequence[Option] | None = None,
    order: Sequence[int] | None = None, openings: Openings | None = None, language: str | None = None,
) -> Prompt:  # fmt: skip
    """Render the prompt of a question, with its choices labelled as in `options`.

    `order` rearranges the choices: the letters stay in place, and the first letter goes to choice `order[0]`.
    Prompts that share `openings` can share what comes before the question. `language` is that of the reasoning.
    """
    stem = f"{_without_margin(question.question)}{form.gap}"
    choices = _choices(options or question.options, form, order)
    opening = (openings or Openings()).opening(question, form, language=language)
    return Prompt(form.prefix, stem, choices, form.suffix, opening)


def render_judgement(
    question: Question, choice: Option, form: Form, *, order: Sequence[int], openings: Openings
) -> Prompt:
    """Render the prompt that asks whether one choice is right: as A, true, or as B, false, in `order`."""
    stem = f"{_without_margin(question.question)}\n\n"
    asked = f"Is the following a right answer?\n{_without_margin(choice.text)}"
    options = [Option("A", "True"), Option("B", "False")]
    rest = f"{asked}{form.gap}{_choices(options, form, order)}"
    return Prompt(form.prefix, stem, rest, form.suffix, openings.opening(question, form))


def state_stem(state: str) -> str:
    """Return the stem of all prompts about a state."""
    return f"{_without_margin(state)}\n\n"


def render_about(
    stem: str, text: str, options: Sequence[Option], form: Form, *, order: Sequence[int]
) -> Prompt:
    """Render the prompt of a question about a state, which `stem` has, with its options in `order`."""
    rest = f"{_without_margin(text)}{form.gap}{_choices(options, form, order)}"
    return Prompt(form.prefix, stem, rest, form.suffix)


def _opening_spans(question: Question, form: Form, language: str | None) -> Iterator[TextSpan]:
    """Yield a client's examples, each a turn of its own in a chat, its instructions and context, and the language."""
    for example in question.examples or ():
        choices = _choices(example.options, form, None)
        yield TextSpan(f"{_without_margin(example.question)}{form.gap}{choices}", trusted=False)
        yield TextSpan(f"{form.answer}{example.answer}{form.end}", trusted=True)
    for text in (question.instructions, question.context):
        if text is not None:
            yield TextSpan(f"{_without_margin(text)}\n\n", trusted=False)
    if language is not None:
        yield TextSpan(f"Write the reasoning in {LANGUAGES[language]}.\n\n", trusted=True)


def _choices(options: Sequence[Option], form: Form, order: Sequence[int] | None) -> str:
    texts = _texts(options)
    if order is not None:
        texts = [texts[index] for index in order]
    return "\n".join(
        _lines(f"{option.label}{form.mark}", text) for option, text in zip(options, texts, strict=True)
    )


def _texts(options: Sequence[Option]) -> list[str]:
    """Return each choice's text without its common indentation, unless only indentation tells choices apart."""
    texts = ["\n".join(option.lines) for option in options]
    plain = [_without_margin(text) for text in texts]
    return plain if len(set(plain)) == len(plain) else texts


def _without_margin(text: str) -> str:
    """Strip the text; several lines keep their indentation relative to the first."""
    written = text.strip("\r\n")
    return (
        dedent(written).rstrip() if written[:1] in {" ", "\t"} and "\n" in written.strip() else text.strip()
    )


def _lines(mark: str, text: str) -> str:
    """Return a choice after its mark; further lines are indented, so that none looks like another choice."""
    first, *others = text.split("\n")
    return "\n".join([mark + first, *(f"{' ' * len(mark)}{line}" if line else "" for line in others)])
