"""Find the choice that an exam's `answer` means.

| in the file | means |
|---|---|
| a string | the letter of a choice, or the whole text of one choice; spacing does not matter |
| a whole number | a position, from 0 |
| true, false | the choice with that text, in upper or lower case: True, FALSE |

A value that may mean two choices is refused, because a wrong guess would mark a right answer as wrong: "A" for the
choices B, A and C; 2 or "2" for the choices 1, 2 and 3, where some authors write the position and some the text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.choices import Option

_LONGEST_QUOTE = 60
_OTHER_LETTERS = "give the choices as a map of other letters, and write one of them"


def answer_position(answer: object, options: Sequence[Option]) -> int:
    """Return the position of the choice that `answer` means. Raises ValueError, which says what to write instead."""
    means, may_mean = _meanings(answer, options)
    if means and len(means | may_mean) == 1:
        return means.pop()
    if not means:
        raise ValueError(_unknown(answer, options))
    raise ValueError(_ambiguous(answer, sorted(means | may_mean), options))


def position_of_letter(answer: object, options: Sequence[Option]) -> int:
    """Return the position of the choice with this letter, for published exams. Raises ValueError."""
    for choice, option in enumerate(options):
        if option.label == answer:
            return choice
    raise ValueError(f"answer: {_quoted(answer)} is none of the letters {_letters(options)}")


def unambiguous_answer(choice: int, options: Sequence[Option]) -> str | int:
    """Return an answer that means only the choice at this position: its letter, if that is unambiguous."""
    for answer in (options[choice].label, choice, options[choice].text):
        means, may_mean = _meanings(answer, options)
        if means | may_mean == {choice} and means:
            return answer
    raise ValueError(f"answer: choice {options[choice].label} has no unambiguous name: {_OTHER_LETTERS}")


def _meanings(answer: object, options: Sequence[Option]) -> tuple[set[int], set[int]]:
    """Return the choices that an answer means, and those that its author may have meant."""
    match answer:
        case bool():
            return {
                i
                for i, option in enumerate(options)
                if _single_spaced(option.text).lower() == str(answer).lower()
            }, set()
        case int() | float():
            return _at(answer, options), {
                i for i, option in enumerate(options) if _number(option.text) == answer
            }
        case str():
            text = _single_spaced(answer)
            labels = {i for i, option in enumerate(options) if option.label == text}
            texts = {i for i, option in enumerate(options) if option.text == answer}
            texts = texts or {i for i, option in enumerate(options) if _single_spaced(option.text) == text}
            number = _number(text) if text.isdecimal() else None
            return labels | texts, set() if number is None else _at(number, options)
    return set(), set()


def _at(number: float, options: Sequence[Option]) -> set[int]:
    return {i for i in range(len(options)) if i == number}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _unknown(answer: object, options: Sequence[Option]) -> str:
    fault = f"none of the letters {_letters(options)}, and not the text of a choice"
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        fault = f"not a position among {len(options)} choices, which are counted from 0"
    advice = "write a letter, a position as a number, or the whole text of one choice"
    return f"answer: {_quoted(answer)} is {fault}: {advice}"


def _letters(options: Sequence[Option]) -> str:
    return ", ".join(option.label for option in options)


def _ambiguous(answer: object, choices: Sequence[int], options: Sequence[Option]) -> str:
    meanings = " or ".join(f"choice {options[i].label} ({_quoted(options[i].text)})" for i in choices)
    try:
        advice = f"write {' or '.join(_quoted(unambiguous_answer(i, options)) for i in choices)}"
    except ValueError:
        advice = _OTHER_LETTERS
    return f"answer: {_quoted(answer)} may mean {meanings}: {advice}"


def _quoted(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
