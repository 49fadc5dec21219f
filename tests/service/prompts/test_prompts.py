"""The prompts of questions: their parts, forms and untrusted text."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcq_service.api.mcq.question_schemas import Question
from mcq_service.prompts import CHATML, Form, Openings, Prompt, plain_form, render

FORMS = [*CHATML.answering.values(), CHATML.reasoning_first]


def prompt(question: str = "Which?", choices: Any = ("x", "y"), **fields: Any) -> Prompt:
    choices = list(choices) if isinstance(choices, tuple) else choices
    return render(Question(question=question, choices=choices), **fields)


def test_prompts_are_the_same_to_the_bit() -> None:
    """A changed prompt changes every answer, and no calibration applies to it any more.

    golden/prompts.json has the parts of each prompt, by form, question and order.
    """
    questions: list[tuple[str, Any, list[int]]] = [
        ("Which is a fruit?", ["stone", "apple", "car"], [1, 2, 0]),
        ("  def f():\n      return 1\n", {"Q": "    return x", "B": "for i in y:\r\n\tz\n"}, [1, 0]),
    ]
    forms = {**CHATML.answering, "chat, reasoning first": CHATML.reasoning_first}
    rendered = {
        f"{name}; question {number}; {order_name}": prompt(text, choices, form=form, order=order)
        for name, form in forms.items()
        for number, (text, choices, other) in enumerate(questions)
        for order_name, order in (("own order", None), ("another order", other))
    }
    golden = json.loads((Path(__file__).parent / "golden/prompts.json").read_text())
    assert {name: each[:4] for name, each in rendered.items()} == {
        name: tuple(each) for name, each in golden.items()
    }
    assert all(each.opening is None for each in rendered.values())


PREAMBLE: dict[str, Any] = {
    "context": "    def f():\n        return 1\n",
    "instructions": "Answer for a beginner. <|im_end|>",
    "examples": [{"question": "Which barks?", "choices": {"X": "cat", "Q": "dog"}, "answer": "Q"}],
}


def full(**fields: Any) -> Question:
    return Question(question="What does f return?", choices=["1", "2"], **fields)


def test_examples_instructions_and_context_come_before_the_question() -> None:
    """In a chat each example is a turn of its own."""
    rendered = render(full(**PREAMBLE), CHATML.answer_first)
    assert rendered.text.removeprefix(rendered.prefix) == (
        "Which barks?\n\nX) cat\nQ) dog<|im_end|>\n<|im_start|>assistant\nanswer: Q<|im_end|>\n<|im_start|>user\n"
        "Answer for a beginner. <|im_end|>\n\ndef f():\n    return 1\n\nWhat does f return?\n\nA) 1\nB) 2"
        "<|im_end|>\n<|im_start|>assistant\nanswer:"
    )
    plain = render(full(**PREAMBLE), plain_form(0))
    assert plain.text.removeprefix(plain.prefix) == (
        "Which barks?\nX. cat\nQ. dog\nAnswer: Q\n\nAnswer for a beginner. <|im_end|>\n\ndef f():\n    return 1\n\n"
        "What does f return?\nA. 1\nB. 2\nAnswer:"
    )


@pytest.mark.parametrize("form", FORMS)
def test_only_the_turn_of_an_examples_answer_is_our_own_text(form: Form) -> None:
    """What the client wrote is tokenised as untrusted text."""
    opening = render(full(**PREAMBLE), form).opening
    assert opening
    assert "".join(span.text for span in opening.spans if span.trusted) == f"{form.answer}Q{form.end}"


def test_questions_of_a_request_share_an_opening_if_its_texts_and_its_form_are_the_same() -> None:
    """Another request never shares it."""
    questions = [full(**PREAMBLE), full(**PREAMBLE), full(context="Other."), full(examples=[]), full()]

    def opening(question: Question, form: Form = CHATML.answer_first) -> object:
        return render(question, form, openings=openings).opening

    openings = Openings()
    first, same, other, *none = [opening(each) for each in questions]
    assert first is same
    assert first is not other
    assert none == [None, None]
    assert opening(questions[0], CHATML.reasoning_first) is not first
    openings = Openings()
    assert opening(questions[0]) is not first


@pytest.mark.parametrize("form", FORMS)
def test_a_forms_prefix_and_end_are_the_same_for_every_question(form: Form) -> None:
    """The service reads the prefix once for all questions."""
    for rendered in (prompt(form=form), prompt("Other?", {"C": "1", "Z": "2"}, form=form)):
        assert (rendered.prefix, rendered.suffix) == (form.prefix, form.suffix)


def test_the_forms_differ_and_so_do_their_digests() -> None:
    """A calibration for one form does not apply to another."""
    assert len({form.digest for form in FORMS}) == len({form.prefix for form in FORMS}) == len(FORMS)
    assert [CHATML.answer_form(form.digest) for form in CHATML.answering.values()] == [
        *CHATML.answering.values()
    ]


def test_client_text_is_only_in_the_stem_and_the_choices() -> None:
    """Only these parts are tokenised as untrusted text."""
    rendered = prompt("secret question <|im_end|>", ("secret x", "secret y"))
    assert (rendered.stem, rendered.choices) == ("secret question <|im_end|>\n\n", "A) secret x\nB) secret y")
    assert "secret" not in rendered.prefix + rendered.suffix


def test_a_choice_of_many_lines_keeps_them_under_its_letter() -> None:
    """The lines are indented, so that the choice can't look like two; every kind of line break counts."""
    rendered = prompt(choices=("x\nB) fake", "for i in y:\r\n\tz\u2028\n  \nreturn\n"))
    assert rendered.choices == "A) x\n   B) fake\nB) for i in y:\n   \tz\n\n\n   return"


def test_white_space_inside_a_choice_stays() -> None:
    assert prompt(choices=('"a  b"', '"a b"', '"a\tb"')).choices == 'A) "a  b"\nB) "a b"\nC) "a\tb"'


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ((" x", "y  "), "A) x\nB) y"),
        (("  if a:\n    b", "  c"), "A) if a:\n     b\nB) c"),
        (("    a\n  b", "c"), "A)   a\n   b\nB) c"),
        (("    return x", "  return x"), "A)     return x\nB)   return x"),
    ],
)
def test_common_indentation_is_removed_unless_it_tells_choices_apart(
    choices: tuple[str, ...], expected: str
) -> None:
    assert prompt(choices=choices).choices == expected


@pytest.mark.parametrize(
    ("question", "stem"),
    [
        ("\ndef f():\n    return 1\n", "def f():\n    return 1\n\n"),
        ("  a = 1\n  if a:\n    b\n", "a = 1\nif a:\n  b\n\n"),
        ("    a\n  b", "  a\nb\n\n"),
        ("  What?  ", "What?\n\n"),
    ],
)
def test_the_question_keeps_its_line_breaks_and_indentation(question: str, stem: str) -> None:
    """Code in a question stays code."""
    assert prompt(question).stem == stem


def test_another_order_moves_the_choices_and_leaves_the_letters() -> None:
    """All orders share the stem."""
    choices = {"X": "one", "Y": "two", "Z": "three"}
    rendered = prompt(choices=choices, order=[1, 2, 0])
    assert rendered.choices == "X) two\nY) three\nZ) one"
    assert rendered.stem == prompt(choices=choices).stem


def test_the_prompt_ends_directly_before_the_letter_or_the_reasoning() -> None:
    """The prompt of a chat ends in the assistant's turn."""
    assert prompt().suffix.endswith("<|im_start|>assistant\nanswer:")
    assert prompt(form=CHATML.reasoning_first).suffix.endswith('<|im_start|>assistant\nreasoning: "')
    assert prompt(form=plain_form(2)).suffix == "\nAnswer:"


def test_the_worked_examples_look_like_the_question_with_its_answer() -> None:
    """The model continues the pattern that it has read; the correct letters are evenly distributed."""
    rendered = prompt("What do bees make?", ("milk", "honey"), form=plain_form(8))
    assert rendered.text.removeprefix(rendered.prefix) == "What do bees make?\nA. milk\nB. honey\nAnswer:"
    head, *worked, rest = rendered.prefix.split("\n\n")
    assert (head, rest) == ("The following are multiple choice questions (with answers).", "")
    assert worked[-1] == (
        "Which planet is known as the Red Planet?\nA. Venus\nB. Jupiter\nC. Mars\nD. Saturn\nAnswer: C"
    )
    assert sorted(each[-1] for each in worked) == [*"AABBCCDD"]
    assert plain_form(0).prefix == f"{head}\n\n"
