"""Convert a record of a published exam: its question, its choices, and the letter of the right one.

The columns are those of the Hugging Face Hub's data sets, and of the files that their authors publish. If the right
choice is always in the same place, the choices are sorted by a hash of their texts.
"""

from __future__ import annotations

import hashlib
import re
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from mcq_eval.dataset.exam_file import NotAskable
from mcq_eval.errors import ExamUnreadable
from mcq_eval.importing.option_marks import sort_by_mark, strip_marks
from mcq_eval.importing.records import separator_hint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mcq_eval.importing.records import Record

Row = dict[str, Any]

_SPLITS = re.compile(r"[_-](test|dev|val|validation|train)$")
_CSV_COLUMNS = 6
_FOUR = "ABCD"
NO_OPTION = "N/A"
UNPUBLISHED_COP = -1
UNPUBLISHED = "it has no answer: the authors did not publish the answers of this split"


def mmlu_csv(record: Record) -> Row:
    """MMLU's own files (arXiv 2009.03300): no header, one file for each subject."""
    cells = record.values
    if len(cells) != _CSV_COLUMNS:
        msg = (
            f"{record.place}: {len(cells)} columns{separator_hint(record)}. A file of mmlu has six, and no header:"
            " question, four choices and letter. One with a header Question, A, B, C, D, Answer is of cmmlu or ceval."
        )
        raise ExamUnreadable(msg)
    question, *choices, answer = cells
    subject = _SPLITS.sub("", record.path.stem)
    return row(record, question, choices, answer.strip(), name=record.path.stem, subject=subject)


def mmlu(record: Record) -> Row:
    """`cais/mmlu`: question, subject, choices, answer (a position)."""
    values = record.values
    return row(record, values.get("question"), _texts(values, "choices"), _letter(values.get("answer")))


def mmlu_pro(record: Record) -> Row:
    """`TIGER-Lab/MMLU-Pro`: up to ten options, N/A for none; answer and answer_index, which agree."""
    values = record.values
    options, answer = _texts(values, "options"), str(values.get("answer"))
    index = values.get("answer_index")
    if index is not None and _letter(index) != answer:
        raise NotAskable(f"answer: {answer} and answer_index {index} are not the same choice")
    position_of_letter = dict(zip(ascii_uppercase, options, strict=False))
    if position_of_letter.get(answer) == NO_OPTION:
        raise NotAskable("answer: the text of the right choice is N/A")
    kept = {letter: text for letter, text in position_of_letter.items() if text != NO_OPTION}
    moved = dict(zip(kept, ascii_uppercase, strict=False))
    return row(
        record,
        values.get("question"),
        [*kept.values()],
        moved.get(answer, answer),
        subject=values.get("category"),
    )


def aqua(record: Record) -> Row:
    """AQuA-RAT (arXiv 1705.04146): options as "A)…", `correct`."""
    values = record.values
    choices = strip_marks(_texts(values, "options"))
    name = record.path.name
    return row(record, values.get("question"), choices, values.get("correct"), name=name, subject="algebra")


def agieval(record: Record) -> Row:
    """AGIEval v1 (arXiv 2304.06364): passage, question, options as "(A)…", label."""
    values = record.values
    label = values.get("label")
    # The Chinese bar exam's answers are lists, most with more than one letter.
    letters = "".join(map(str, label)) if isinstance(label, list) else label
    question = _joined(values.get("passage"), values.get("question"))
    choices = strip_marks(_texts(values, "options"))
    return row(record, question, choices, letters, name=record.path.name, subject=record.path.stem)


def arc(record: Record) -> Row:
    """`allenai/ai2_arc` and `tau/commonsense_qa`: choices as lists of text and label; and their authors' files.

    The labels are letters or numbers from 1, and the answer is one of them.
    """
    values = record.values
    question: Any = values.get("question")
    choices: Any = values.get("choices")
    if isinstance(question, dict):
        choices = question.get("choices")
        question = question.get("stem")
    if isinstance(choices, list) and all(isinstance(each, dict) for each in choices):
        choices = {key: [each.get(key) for each in choices] for key in ("label", "text")}
    if not isinstance(choices, dict):
        raise NotAskable("it has no choices")
    labels, key = [str(each) for each in _list(choices, "label")], str(values.get("answerKey") or "")
    texts = sort_by_mark(labels, _texts(choices, "text"))
    if not key:
        raise NotAskable(UNPUBLISHED)
    letter = ascii_uppercase[int(key) - 1] if key in labels and key.isdecimal() else key
    return row(record, question, texts, letter)


def medmcqa(record: Record) -> Row:
    """`openlifescienceai/medmcqa`: opa to opd, cop (a position from 0), subject_name.

    The authors' JSON files count from 1; `zero_based_cop` converts them.
    """
    values = record.values
    if values.get("cop") is None or values["cop"] == UNPUBLISHED_COP:
        raise NotAskable(UNPUBLISHED)
    choices = [values.get(f"op{letter}") for letter in "abcd"]
    return row(
        record, values.get("question"), choices, _letter(values["cop"]), subject=values.get("subject_name")
    )


def hellaswag(record: Record) -> Row:
    """`Rowan/hellaswag`: ctx, endings, label (a position, as a string on the Hub), activity_label."""
    values = record.values
    label = values.get("label")
    if label is None or label == "":
        raise NotAskable(UNPUBLISHED)
    activity = values.get("activity_label")
    context = _without_marks(f"{activity}: {values.get('ctx')}" if activity else str(values.get("ctx")))
    choices = [_without_marks(each) for each in _texts(values, "endings")]
    position = int(label) if str(label).isdecimal() else label
    return row(record, f"How does this go on?\n\n{context}", choices, _letter(position), subject=activity)


def sciq(record: Record) -> Row:
    """`allenai/sciq`: support (a passage), question, correct_answer and distractor1 to 3."""
    values = record.values
    wrong = [values.get(f"distractor{number}") for number in (1, 2, 3)]
    question = _joined(values.get("support"), values.get("question"))
    return _shuffled(record, question, values.get("correct_answer"), wrong)


def race(record: Record) -> Row:
    """`ehovy/race`: article, question, options, answer."""
    values = record.values
    question = _joined(values.get("article"), values.get("question"))
    return row(record, question, _texts(values, "options"), values.get("answer"))


def truthfulqa(record: Record) -> Row:
    """`truthfulqa/truthful_qa`, multiple_choice: mc1_targets of choices and labels, or as its authors' map."""
    targets = record.values.get("mc1_targets")
    if not isinstance(targets, dict):
        raise NotAskable("it has no mc1_targets")
    if "choices" in targets:
        texts, labels = _texts(targets, "choices"), _list(targets, "labels")
        if len(set(texts)) != len(labels):
            raise NotAskable("mc1_targets: choices and labels differ in number, or a choice appears twice")
        targets = dict(zip(texts, labels, strict=True))
    right = [text for text, label in targets.items() if label == 1]
    if len(right) != 1:
        raise NotAskable(f"mc1_targets: {len(right)} choices are right, and one should be")
    wrong = [text for text, label in targets.items() if label != 1]
    return _shuffled(record, record.values.get("question"), right[0], wrong)


def cmmlu(record: Record) -> Row:
    """`haonan-li/cmmlu` and `ceval/ceval-exam`: question, A, B, C, D, answer; a subject is a file or a folder."""
    values = {str(key).lower(): value for key, value in record.values.items()}
    needed = ("question", *_FOUR.lower())
    if missing := [name.upper() if len(name) == 1 else name for name in needed if name not in values]:
        columns = ", ".join(map(str, record.values)) or "none"
        msg = (
            f"{record.path}: there is no column {', '.join(missing)}; expected are question, A, B, C, D and answer,"
            f" found: {columns}."
        )
        raise ExamUnreadable(msg)
    if not values.get("answer"):
        raise NotAskable(UNPUBLISHED)
    by_folder = record.path.suffix == ".parquet"
    subject = record.path.resolve().parent.name if by_folder else _SPLITS.sub("", record.path.stem)
    choices = [values[letter] for letter in _FOUR.lower()]
    return row(record, values["question"], choices, str(values["answer"]).strip(), subject=subject)


def cybermetric(record: Record) -> Row:
    """`cybermetric/CyberMetric` (arXiv 2402.07688): question, answers (a map of letters), solution."""
    values, choices = record.values, record.values.get("answers")
    return {**row(record, values.get("question"), [], values.get("solution")), "choices": choices}


def gpqa(record: Record) -> Row:
    """`Idavidrein/gpqa`: Question, Correct Answer, Incorrect Answer 1 to 3, High-level domain."""
    values = record.values
    if "Correct Answer" not in values:
        msg = f"{record.path}: there is no column Correct Answer; expected are those of gpqa_main.csv."
        raise ExamUnreadable(msg)
    wrong = [values.get(f"Incorrect Answer {number}") for number in (1, 2, 3)]
    subject = values.get("High-level domain")
    return _shuffled(record, values.get("Question"), values["Correct Answer"], wrong, subject=subject)


def zero_based_cop(records: list[Record]) -> list[Record]:
    """Return MedMCQA's records with positions from 0. Raises ExamUnreadable if they may count from 0 or from 1."""
    cops = {
        cop
        for record in records
        if isinstance(cop := record.values.get("cop"), int) and cop != UNPUBLISHED_COP
    }
    if 0 in cops or not cops or records[0].path.suffix == ".parquet":
        return records
    if len(_FOUR) not in cops:
        msg = f"{records[0].path}: no cop is 0 and none is 4, so they may count from 0 or from 1."
        raise ExamUnreadable(msg)
    return [
        record._replace(values={**record.values, "cop": _zero_based(record.values.get("cop"))})
        for record in records
    ]


def _zero_based(cop: object) -> object:
    return cop - 1 if isinstance(cop, int) and cop > 0 else cop


def row(
    record: Record, question: object, choices: Sequence[object], answer: object, *,
    name: str | None = None, subject: object = None,
) -> Row:  # fmt: skip
    """Return the line of a question. Its subject is the record's own by default, its id `name` with a number."""
    values = record.values
    subject = subject or (values.get("subject") if isinstance(values, dict) else None)
    return {
        "id": f"{name or _name(record.path)}/{record.number}",
        "subject": subject and str(subject),
        "question": question,
        "choices": [*choices],
        "answer": answer,
    }


def _name(path: Path) -> str:
    """Return a file's name in an id. The Hub's Parquet files have the same name in each subject's folder."""
    return f"{path.resolve().parent.name}/{path.stem}" if path.suffix == ".parquet" else path.stem


def _shuffled(
    record: Record, question: object, right: object, wrong: Sequence[object], *, subject: object = None
) -> Row:
    """Return a row with its choices sorted by a hash of their texts, so that the right one may be anywhere."""
    if not isinstance(right, str) or not all(isinstance(each, str) for each in wrong):
        raise NotAskable("the right answer or a wrong one is missing")
    texts = [right, *map(str, wrong)]
    order = sorted(
        range(len(texts)), key=lambda index: hashlib.sha256(f"{question}\0{texts[index]}".encode()).digest()
    )
    letter = ascii_uppercase[order.index(0)] if len(order) <= len(ascii_uppercase) else ""
    return row(record, question, [texts[index].strip() for index in order], letter, subject=subject)


def _letter(position: object) -> object:
    """Return the letter of a position from 0; anything else unchanged, for the parser to refuse."""
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position < len(ascii_uppercase):
        return ascii_uppercase[position]
    return position


def _list(values: dict[str, Any], name: str) -> list[Any]:
    value = values.get(name)
    if not isinstance(value, list):
        raise NotAskable("it has no choices" if value is None else f"{name}: it is not a list")
    return value


def _texts(values: dict[str, Any], name: str) -> list[str]:
    texts = _list(values, name)
    if not all(isinstance(each, str) for each in texts):
        raise NotAskable(f"{name}: it is not a list of strings")
    return texts


def _joined(passage: object, question: object) -> str:
    return "\n\n".join(str(part) for part in (passage, question) if part)


def _without_marks(text: str) -> str:
    """Remove the marks of WikiHow's texts in HellaSwag: [header], [title], [step]."""
    text = text.strip().replace(" [title]", ". ")
    return " ".join(re.sub(r"\[.*?\]", "", text).split())
