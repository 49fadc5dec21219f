"""The marks that published options carry: "(A)3", "C. 5". They say which choice is meant, whatever the order."""

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
    letters = [mark and (mark[1] or mark[2]) for mark in found]
    expected = list(ascii_uppercase[: len(options)])
    texts = {
        letter: option[mark.end() :].rstrip()
        for letter, mark, option in zip(letters, found, options, strict=True)
        if letter and mark
    }
    if sorted(texts) == expected:
        return [texts[letter] for letter in expected]
    if not certain:
        return list(options)
    marks = ", ".join(letter or "none" for letter in letters)
    msg = f"options: their marks are {marks}, and should be {', '.join(expected)} in any order"
    raise NotAskable(msg)
