"""The marks of published options: "(A)3", "C. 5". They name the choices, which may be in any order."""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import TYPE_CHECKING

from mcq_eval.dataset.exam_file import NotAskable

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = re.compile(r"\s*(?:[(（]\s*([A-Z])\s*[)）]|([A-Z])\s*[).．、:：])\s*")
# A lone letter may be a mark or a word, so it is a mark only if all the others are there, too.
_LETTER = re.compile(r"\s*()([A-Z])\s+")


def strip_marks(options: Sequence[str]) -> list[str]:
    """Return the choices without their marks, in the order of the marks; options without marks unchanged.

    Raises NotAskable if a mark is repeated or missing: the answer's letter may then mean another choice.
    """
    marks = [_MARK.match(option) for option in options]
    certain = any(marks)
    marks = [mark or _LETTER.match(option) for mark, option in zip(marks, options, strict=True)]
    letters = [(mark[1] or mark[2]) if mark else "none" for mark in marks]
    if not certain and sorted(letters) != list(ascii_uppercase[: len(options)]):
        return list(options)
    texts = [
        option[mark.end() :].rstrip() if mark else option for option, mark in zip(options, marks, strict=True)
    ]
    return sort_by_mark(letters, texts)


def sort_by_mark(marks: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return the texts in the order of their marks: letters from A, or numbers from 1.

    Raises NotAskable if a mark is repeated or missing.
    """
    by_mark = dict(zip(marks, texts, strict=False))
    count = len(texts)
    for expected in (list(ascii_uppercase[:count]), [str(number) for number in range(1, count + 1)]):
        if len(by_mark) == len(marks) == count and set(expected) == by_mark.keys():
            return [by_mark[mark] for mark in expected]
    expected_marks = ", ".join(ascii_uppercase[:count])
    msg = f"options: their marks are {', '.join(marks)}, and should be {expected_marks} in any order"
    raise NotAskable(msg)
