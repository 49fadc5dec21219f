"""The multiple-choice prompt: a question and its choices in a form, keeping meaningful white space."""

from __future__ import annotations

from textwrap import dedent
from threading import Lock
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

    The questions must live as long as this object. Threads may share it.
    """

    def __init__(self) -> None:
        """Start without openings."""
        self._by_key: dict[tuple[Form, str | None, OpeningKey], Opening] = {}
        self._by_text: dict[tuple[Form, tuple[TextSpan, ...]], Opening] = {}
        self._lock = Lock()

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
        with self._lock:
            if key not in self._by_key:
                spans = tuple(_opening_spans(question, form, language))
                self._by_key[key] = self._by_text.setdefault((form, spans), Opening(spans))
            return self._by_key[key]


def render(
    question: Question, form: Form = CHATML.answer_first, *, options: Sequence[Option] | None = None,
    order: Sequence[int] | None = None, openings: Openings | None = None, language: str | None = None,
) -> Prompt:  # fmt: skip
    """Render the prompt of a question in one order; see `render_orders`."""
    orders = [range(len(options or question.options)) if order is None else order]
    [prompt] = render_orders(
        question, form, options=options, orders=orders, openings=openings, language=language
    )
    return prompt


def render_orders(
    question: Question, form: Form, *, options: Sequence[Option] | None = None,
    orders: Sequence[Sequence[int]], openings: Openings | None = None, language: str | None = None,
) -> list[Prompt]:  # fmt: skip
    """Render the prompt of a question in each order, with its choices labelled as in `options`.

    An order rearranges the choices: the letters stay in place, and the first letter goes to choice `order[0]`.
    Prompts that share `openings` can share what comes before the question. `language` is that of the reasoning.
    """
    stem = f"{_without_margin(question.question)}{form.gap}"
    opening = (openings or Openings()).opening(question, form, language=language)
    return [
        Prompt(form.prefix, stem, choices, form.suffix, opening)
        for choices in _choices(options or question.options, form, orders)
    ]


def render_judgements(
    question: Question, choices: Sequence[Option], form: Form, *, orders: Sequence[Sequence[int]],
    openings: Openings,
) -> list[Prompt]:  # fmt: skip
    """Render the prompts that ask whether a choice is right, as A, true, or as B, false: each choice in each order."""
    stem = f"{_without_margin(question.question)}\n\n"
    opening = openings.opening(question, form)
    asked = [f"Is the following a right answer?\n{_without_margin(choice.text)}" for choice in choices]
    verdicts = _choices([Option("A", "True"), Option("B", "False")], form, orders)
    return [
        Prompt(form.prefix, stem, f"{each}{form.gap}{verdict}", form.suffix, opening)
        for each in asked
        for verdict in verdicts
    ]


def about_stem(state: str) -> str:
    """Return the stem of all prompts about a state."""
    return f"{_without_margin(state)}\n\n"


def render_about(
    stem: str, text: str, options: Sequence[Option], form: Form, *, orders: Sequence[Sequence[int]]
) -> list[Prompt]:
    """Render the prompts of a question about the state of a stem, with its options in each order."""
    asked = f"{_without_margin(text)}{form.gap}"
    return [
        Prompt(form.prefix, stem, f"{asked}{choices}", form.suffix)
        for choices in _choices(options, form, orders)
    ]


def _opening_spans(question: Question, form: Form, language: str | None) -> Iterator[TextSpan]:
    """Yield a client's examples, each a turn of its own in a chat, its instructions and context, and the language."""
    for example in question.examples or ():
        [choices] = _choices(example.options, form, [range(len(example.options))])
        yield TextSpan(f"{_without_margin(example.question)}{form.gap}{choices}", trusted=False)
        yield TextSpan(f"{form.answer}{example.answer}{form.end}", trusted=True)
    for text in (question.instructions, question.context):
        if text is not None:
            yield TextSpan(f"{_without_margin(text)}\n\n", trusted=False)
    if language is not None:
        yield TextSpan(f"Write the reasoning in {LANGUAGES[language]}.\n\n", trusted=True)


def _choices(options: Sequence[Option], form: Form, orders: Sequence[Sequence[int]]) -> list[str]:
    """Return the choices with their labels, in each order."""
    marks, texts = [f"{option.label}{form.mark}" for option in options], _texts(options)
    return [
        "\n".join(_lines(mark, texts[index]) for mark, index in zip(marks, order, strict=True))
        for order in orders
    ]


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
