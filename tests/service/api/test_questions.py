"""The question schema: choices, labels, lengths and modes."""

from string import ascii_uppercase
from typing import Any

import pytest
from pydantic import ValidationError

from mcq_service.api.mcq.schemas import MAX_CHOICE_CHARACTERS, MAX_QUESTION_CHARACTERS, Option, Question


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


def test_twenty_six_choices_are_the_limit() -> None:
    """26 choices use every letter once."""
    options = question(choices=[f"choice {number}" for number in range(26)]).options
    assert "".join(option.label for option in options) == ascii_uppercase


@pytest.mark.parametrize("count", [0, 1, 27])
@pytest.mark.parametrize("form", [list, lambda texts: dict(zip(ascii_uppercase, texts, strict=False))])
def test_fewer_than_two_or_more_than_twenty_six_choices_are_refused(count: int, form: Any) -> None:
    """A question has 2 to 26 choices in either form; a map can't even name a 27th."""
    texts = form([f"choice {number}" for number in range(count)])
    if isinstance(texts, dict) and count == 27:
        texts["AA"] = "choice 26"
    assert "should have at" in refusal(choices=texts) or "capital letter" in refusal(choices=texts)


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u00a0"])
def test_blank_questions_and_choices_are_refused(blank: str) -> None:
    """White space alone is no question and no choice."""
    assert refusal(question=blank) == "must not be blank"
    assert refusal(choices=["x", blank]) == "must not be blank"
    assert refusal(choices={"A": "x", "B": blank}) == "must not be blank"


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
