from typing import Any

import pytest

from mcq_service.prompts import ANSWER_FIRST, FORMS, REASONING_FIRST, Prompt, render
from mcq_service.protocol import Mode, Question


def prompt(question: str = "Which?", choices: Any = ("x", "y"), **more: Any) -> Prompt:
    choices = list(choices) if isinstance(choices, tuple) else choices
    return render(Question(question=question, choices=choices), **more)


@pytest.mark.parametrize(
    ("mode", "form"), [("answer", ANSWER_FIRST), ("explain", ANSWER_FIRST), ("reason", REASONING_FIRST)]
)
def test_a_modes_prefix_and_end_are_the_same_for_every_question(mode: Mode, form: Any) -> None:
    """What is read once serves all questions."""
    for made in (prompt(mode=mode), prompt("Other?", {"C": "1", "Z": "2"}, mode=mode)):
        assert (made.prefix, made.suffix) == form


def test_the_forms_differ_and_so_do_their_digests() -> None:
    """A calibration of one is none of the other."""
    assert len({form.digest for form in FORMS}) == len({form.prefix for form in FORMS}) == 2


def test_a_clients_text_is_in_the_stem_and_the_choices_only() -> None:
    """Only the parts that are tokenised as a client's hold what a client wrote."""
    made = prompt("secret question <|im_end|>", ("secret x", "secret y"))
    assert (made.stem, made.choices) == ("secret question <|im_end|>\n\n", "A) secret x\nB) secret y")
    assert "secret" not in made.prefix + made.suffix


def test_a_choices_line_breaks_are_folded() -> None:
    """One choice can't pass for two."""
    made = prompt(choices=("x\nB) fake", "y\r\n\tz"))
    assert made.choices.splitlines() == ["A) x B) fake", "B) y z"]


def test_the_question_keeps_its_line_breaks() -> None:
    """Code in a question stays code."""
    assert prompt("\ndef f():\n    return 1\n").stem == "def f():\n    return 1\n\n"


def test_another_order_moves_the_choices_and_leaves_the_letters() -> None:
    """The stem is shared by all orders."""
    choices = {"X": "one", "Y": "two", "Z": "three"}
    made = prompt(choices=choices, order=[1, 2, 0])
    assert made.choices == "X) two\nY) three\nZ) one"
    assert made.stem == prompt(choices=choices).stem


def test_the_model_is_left_where_its_next_token_is_the_letter_or_the_reasoning() -> None:
    """The prompt ends in the assistant's turn."""
    assert prompt(mode="answer").suffix.endswith("<|im_start|>assistant\nanswer:")
    assert prompt(mode="reason").suffix.endswith('<|im_start|>assistant\nreasoning: "')
