"""Read the quiz files that Moodle imports: Aiken, and the multiple-choice and true-false questions of GIFT.

Questions without exactly one right choice are left out and listed.
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import TYPE_CHECKING, NamedTuple

from mcq_eval.dataset.exam_file import NotAskable
from mcq_eval.dataset.text_files import read_text
from mcq_eval.importing.option_marks import sort_by_mark
from mcq_eval.importing.published import row
from mcq_eval.importing.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mcq_eval.importing.published import Row

_AIKEN_CHOICE = re.compile(r"([A-Za-z])[).]\s+(.*)")
_AIKEN_ANSWER = re.compile(r"ANSWER:\s*(.*)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([~=#{}:n\\])")
_WEIGHT = re.compile(r"%(-?\d+(?:\.\d+)?)%")
_CATEGORY = "$CATEGORY:"
_TRUE_FALSE = {"T": "A", "TRUE": "A", "F": "B", "FALSE": "B"}
_GAP = "_____"
# Private-use characters stand for the escaped ones during the search for the others.
_HIDDEN = {character: chr(0xE000 + number) for number, character in enumerate("~=#{}:")}
_SHOWN = {ord(hidden): character for character, hidden in _HIDDEN.items()}


def aiken_records(path: Path) -> Iterator[Record]:
    """Yield the questions of an Aiken file as lists of lines; an ANSWER line ends each."""
    lines: list[str] = []
    first = number = 0
    for index, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        if not lines:
            first = index
        lines.append(line.strip())
        if _AIKEN_ANSWER.fullmatch(line.strip()):
            yield Record(f"{path}:{first}", path, number, lines)
            lines, number = [], number + 1
    if lines:
        yield Record(f"{path}:{first}", path, number, lines)


def aiken(record: Record) -> Row:
    """Convert the lines of a question, its choices as "A. …" or "A) …", and "ANSWER: A"."""
    *lines, last = record.values
    answer = _AIKEN_ANSWER.fullmatch(last)
    if answer is None:
        raise NotAskable("it has no line ANSWER: with the letter of the right choice")
    question: list[str] = []
    marks: list[str] = []
    texts: list[str] = []
    for line in lines:
        if choice := _AIKEN_CHOICE.fullmatch(line):
            marks.append(choice[1].upper())
            texts.append(choice[2])
        elif marks:
            raise NotAskable(f"{line[:40]!r} follows a choice, but is neither a choice nor the line ANSWER:")
        else:
            question.append(line)
    choices = sort_by_mark(marks, texts)
    letter = answer[1].strip().upper()
    name = record.path.stem
    return row(record, "\n".join(question), choices, letter, name=name, subject=name)


class Block(NamedTuple):
    """The text of a question in a GIFT file, and its category."""

    text: str
    category: str


def gift_records(path: Path) -> Iterator[Record]:
    """Yield the questions of a GIFT file; a blank line ends each."""
    category, number = path.stem, 0
    lines: list[str] = []
    first = 0
    for index, line in enumerate([*read_text(path).splitlines(), ""], 1):
        stripped = line.strip()
        if stripped.startswith("//"):
            continue
        if stripped.startswith(_CATEGORY):
            category = stripped.removeprefix(_CATEGORY).strip().split("/")[-1] or path.stem
        elif stripped:
            first = first if lines else index
            lines.append(stripped)
        elif lines:
            yield Record(f"{path}:{first}", path, number, Block("\n".join(lines), category))
            lines, number = [], number + 1


def gift(record: Record) -> Row:
    """Convert `::name:: question {=right ~wrong}`, {T} or {FALSE}. A gap marks answers inside the question."""
    text = _ESCAPED.sub(_hide_escape, record.values.text)
    if text.startswith("::") and (end := text.find("::", 2)) > 0:
        text = text[end + 2 :].strip()
    start, end = text.find("{"), text.find("}")
    if start < 0 or end < start:
        raise NotAskable("it has no answers in braces")
    before, inside, after = text[:start].rstrip(), text[start + 1 : end].strip(), text[end + 1 :].strip()
    question = f"{before} {_GAP}{'' if after[:1] in '.,;:!?' else ' '}{after}" if after else before
    question = re.sub(r"^\[(html|moodle|plain|markdown)\]", "", question)
    answers = inside.split("####")[0].strip()
    if letter := _TRUE_FALSE.get(answers.split("#")[0].strip()):
        choices = ["True", "False"]
    else:
        choices, letter = _choices(answers)
    question = _restore_escapes(question)
    return row(record, question, choices, letter, name=record.path.stem, subject=record.values.category)


def _choices(answers: str) -> tuple[list[str], str]:
    """Return the choices of a question, and the letter of the right one. Raises NotAskable."""
    if answers.startswith("#") or "~" not in answers:
        raise NotAskable("it is not a multiple-choice or true-false question")
    texts: list[str] = []
    right: list[int] = []
    for mark, answer in re.findall(r"([~=])([^~=]*)", answers):
        text = answer.split("#")[0].strip()
        weight = _WEIGHT.match(text)
        if weight:
            text = text[weight.end() :].strip()
        if mark == "=" or (weight and float(weight[1]) > 0):
            right.append(len(texts))
        texts.append(_restore_escapes(text))
    if len(right) != 1:
        raise NotAskable(f"{len(right)} choices are right or partly right, and one should be")
    return texts, ascii_uppercase[right[0] : right[0] + 1]


def _hide_escape(escape: re.Match[str]) -> str:
    return {"n": "\n", "\\": "\\"}.get(escape[1], "") or _HIDDEN[escape[1]]


def _restore_escapes(text: str) -> str:
    return text.translate(_SHOWN).strip()
