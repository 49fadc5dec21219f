"""The question schema: choices, labels, lengths and modes."""

from string import ascii_uppercase
from typing import Any

import pytest
from pydantic import ValidationError

from mcq_service.api.mcq.choices import MAX_CHOICE_CHARACTERS, MAX_QUESTION_CHARACTERS, Option
from mcq_service.api.mcq.question_schemas import Question


def question(**body: Any) -> Question:
    return Question.model_validate({"question": "Which?", "choices": ["x", "y"], **body})


def refusal(**body: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        question(**body)
    return "; ".join(each["msg"] for each in caught.value.errors())


def test_a_list_of_choices_is_labelled_from_a_in_its_order() -> None:
    """The labels are A, B, C."""
    assert question(choices=["z", "y", "x"]).options == [Option("A", "z"), Option("B", "y"), Option("C", "x")]


def test_a_map_keeps_its_labels_and_their_order() -> None:
    """The client decides the labels and their order."""
    assert question(choices={"Q": "x", "B": "y"}).options == [Option("Q", "x"), Option("B", "y")]


def test_twenty_six_choices_use_every_letter() -> None:
    """26 choices use every letter once."""
    options = question(choices=[f"choice {number}" for number in range(26)]).options
    assert "".join(option.label for option in options) == ascii_uppercase


@pytest.mark.parametrize("count", [0, 1, 256])
def test_a_list_has_two_to_255_choices(count: int) -> None:
    texts = [f"choice {number}" for number in range(255)]
    assert len(question(choices=texts).options) == 255
    assert "should have at" in refusal(choices=[*texts, "x"][:count])
    assert refusal(choices=[*texts[:30], "choice 2 "]) == (
        "Choices 3 and 31 are the same: each choice must differ from the others"
    )


@pytest.mark.parametrize("count", [0, 1, 27])
def test_a_map_has_two_to_twenty_six_choices(count: int) -> None:
    """It can't even name a 27th."""
    texts = {label: label for label in [*ascii_uppercase, "AA"][:count]}
    assert "should have at" in refusal(choices=texts) or "capital letter" in refusal(choices=texts)


def test_an_example_has_a_letter_for_each_choice() -> None:
    texts = [f"choice {number}" for number in range(27)]
    example = {"question": "Q", "choices": texts, "answer": "A"}
    assert "at most 26" in refusal(examples=[example])
    assert question(examples=[{**example, "choices": texts[:26], "answer": "Z"}]).examples


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u00a0"])
def test_blank_questions_and_choices_are_refused(blank: str) -> None:
    """White space alone is no question and no choice."""
    assert refusal(question=blank) == "must not be blank"
    assert refusal(choices=["x", blank]) == "must not be blank"
    assert refusal(choices={"A": "x", "B": blank}) == "must not be blank"


def test_choices_in_two_spellings_of_unicode_are_duplicates() -> None:
    """A reader sees the same text."""
    assert refusal(choices=["M\u00fcnchen", "x", "Mu\u0308nchen"]).startswith("Choices A and C are the same")


@pytest.mark.parametrize(
    "choices", [["two", "x", "\ntwo \n"], {"A": "a\r\nb", "B": "x", "C": "a\nb "}, ["y", "x", "y\u00a0"]]
)
def test_choices_that_differ_only_at_line_ends_are_duplicates(choices: Any) -> None:
    """The refusal names the two labels."""
    assert refusal(choices=choices).startswith("Choices A and C are the same")


@pytest.mark.parametrize(
    "choices",
    [
        ["if a:\n  b\nc", "if a:\n  b\n  c"],  # indentation
        ["a b", "a\nb"],  # line breaks
        ['"a  b"', '"a b"', '"a\tb"'],  # white space inside
        ["    return x", "  return x"],
    ],
)
def test_choices_that_differ_in_meaningful_white_space_are_distinct(choices: list[str]) -> None:
    assert [option.text for option in question(choices=choices).options] == choices


def test_choices_that_differ_in_case_are_distinct() -> None:
    """Code and formulas distinguish x from X."""
    assert len(question(choices=["x", "X"]).options) == 2


@pytest.mark.parametrize("label", ["a", "AB", "", "1", "Ä", " A", "Α"])  # noqa: RUF001 - the last is Greek
def test_labels_are_single_capital_letters(label: str) -> None:
    """Only A to Z are labels."""
    assert "one capital letter" in refusal(choices={"A": "x", label: "y"})


def test_unknown_fields_are_refused() -> None:
    """A misspelt field is an error instead of being ignored."""
    assert refusal(max_reasonning_tokens=3) == "Extra inputs are not permitted"


def test_lengths_are_bounded() -> None:
    """The longest question and choice pass; one more character fails."""
    question(question="x" * MAX_QUESTION_CHARACTERS, choices=["x" * MAX_CHOICE_CHARACTERS, "y"])
    assert "at most" in refusal(question="x" * (MAX_QUESTION_CHARACTERS + 1))
    assert "at most" in refusal(choices=["x" * (MAX_CHOICE_CHARACTERS + 1), "y"])


@pytest.mark.parametrize("mode", ["answer", "explain", None])
def test_modes_and_the_services_default_are_accepted(mode: str | None) -> None:
    """A question without a mode gets the service's default."""
    assert question(mode=mode).mode == mode


@pytest.mark.parametrize(
    "wrong", [{"mode": "think"}, {"max_reasoning_tokens": 0}, {"max_reasoning_tokens": 513},
              {"max_reasoning_tokens": "8"}, {"question": 7}, {"choices": "AB"}, {"choices": ["x", 2]},
              {"question": "\ud800"}],
)  # fmt: skip
def test_wrong_types_and_ranges_are_refused(wrong: dict[str, Any]) -> None:
    """The service converts nothing silently."""
    assert refusal(**wrong)
