"""The marks of published options: "(A)3", "C. 5". They say which choice is meant, whatever the order."""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import TYPE_CHECKING

from mcq_service.exams.questions import NotAskable

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = re.compile(r"\s*(?:[(（]\s*([A-Z])\s*[)）]|([A-Z])\s*[).．、:：])\s*")  # noqa: RUF001 - as files have them
# A letter alone may be a mark or a word, so it is a mark only beside all the others.
_LETTER = re.compile(r"\s*()([A-Z])\s+")


def unmarked(options: Sequence[str]) -> list[str]:
    """Return the choices in the order of their marks, without them; options that carry no marks as they are.

    Raises NotAskable where marks are doubled or missing: the answer's letter may then mean another choice.
    """
    found = [_MARK.match(option) for option in options]
    certain = any(found)
    found = [mark or _LETTER.match(option) for mark, option in zip(found, options, strict=True)]
    letters = [(mark[1] or mark[2]) if mark else "none" for mark in found]
    if not certain and sorted(letters) != list(ascii_uppercase[: len(options)]):
        return list(options)
    texts = [
        option[mark.end() :].rstrip() if mark else option for option, mark in zip(options, found, strict=True)
    ]
    return ordered(letters, texts)


def ordered(marks: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return the texts in the order of their marks, which are all letters from A or all numbers from 1, in any order.

    Raises NotAskable where marks are doubled or missing.
    """
    by_mark = dict(zip(marks, texts, strict=False))
    count = len(texts)
    for expected in (list(ascii_uppercase[:count]), [str(number) for number in range(1, count + 1)]):
        if len(by_mark) == len(marks) == count and set(expected) == by_mark.keys():
            return [by_mark[mark] for mark in expected]
    wanted = ", ".join(ascii_uppercase[:count])
    msg = f"options: their marks are {', '.join(marks)}, and should be {wanted} in any order"
    raise NotAskable(msg)
