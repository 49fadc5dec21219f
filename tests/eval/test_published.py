"""Importing published formats: invented rows give the question, its choices in order and the right letter."""

import csv
import io
import json
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.files import exam_file, import_one
from tests.service.examples import examples

from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.errors import ExamUnreadable
from mcq_eval.importing.importer import FORMATS, Format, import_exam

FOUR = ["one", "two", "three", "four"]
LABELLED = {"text": ["two", "one", "three"], "label": ["B", "A", "C"]}
NUMBERED = {"text": ["one", "two", "three"], "label": ["1", "2", "3"]}
WITHOUT_ANSWER = "it has no answer"
GPQA = {
    "Question": "How many?", "Correct Answer": "two \n", "Incorrect Answer 1": "one", "Incorrect Answer 2": "three",
    "Incorrect Answer 3": "four", "High-level domain": "Physics", "Record ID": "rec1", "Canary String": "…",
}  # fmt: skip
SCIQ = {
    "question": "How many?", "distractor3": "four", "distractor1": "one", "distractor2": "three",
    "correct_answer": "two", "support": "",
}  # fmt: skip
C_EVAL = {
    "id": 0,
    "question": "How many?",
    **dict(zip("ABCD", FOUR, strict=True)),
    "answer": "B",
    "explanation": "",
}
HELLASWAG = {
    "ind": 4, "activity_label": "Counting", "ctx_a": "She counts [title] aloud.", "ctx_b": "she", "endings": FOUR,
    "ctx": "She counts [title] aloud. [step] she", "source_id": "x", "split": "val", "split_type": "x", "label": "1",
}  # fmt: skip
MEDMCQA = {
    "id": "x", "question": "How many?", **{f"op{letter}": text for letter, text in zip("abcd", FOUR, strict=True)},
    "cop": 1, "choice_type": "single", "exp": None, "subject_name": "Anatomy", "topic_name": None,
}  # fmt: skip
MMLU_PRO = {
    "question_id": 7, "question": "How many?", "options": ["one", "N/A", "two", "three", "N/A"], "answer": "C",
    "answer_index": 2, "cot_content": "", "category": "math", "src": "x",
}  # fmt: skip

HUB: list[tuple[Format, dict[str, Any], list[str] | None, str | None]] = [
    ("mmlu", {"question": "How many?", "subject": "math", "choices": FOUR, "answer": 1}, FOUR, "math"),
    ("mmlu-pro", MMLU_PRO, ["one", "two", "three"], "math"),
    ("arc", {"id": "x", "question": "How many?", "choices": LABELLED, "answerKey": "B"}, FOUR[:3], None),
    ("arc", {"id": "x", "question": "How many?", "choices": NUMBERED, "answerKey": "2"}, FOUR[:3], None),
    (
        "commonsenseqa",
        {"id": "x", "question": "How many?", "question_concept": "n", "choices": LABELLED, "answerKey": "B"},
        FOUR[:3],
        None,
    ),
    ("medmcqa", MEDMCQA, FOUR, "Anatomy"),
    ("hellaswag", HELLASWAG, FOUR, "Counting"),
    ("sciq", SCIQ, None, None),
    (
        "race",
        {
            "example_id": "high1.txt",
            "article": "Two.",
            "question": "How many?",
            "options": FOUR,
            "answer": "B",
        },
        FOUR,
        None,
    ),
    (
        "truthfulqa",
        {
            "question": "How many?",
            "mc1_targets": {"choices": ["two", "one", "three"], "labels": [1, 0, 0]},
            "mc2_targets": {"choices": ["two", "one"], "labels": [1, 0]},
        },
        None,
        None,
    ),
    ("ceval", C_EVAL, FOUR, "law"),
    ("gpqa", GPQA, None, "Physics"),
]


def as_parquet(folder: Path, *rows: dict[str, Any]) -> Path:
    """Write the rows as the Hub does, with a folder for each subject."""
    path = folder / "law/test-00000-of-00001.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def as_csv(path: Path, *rows: dict[str, Any], encoding: str = "utf-8") -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding=encoding, newline="")
    return path


def right(row: dict[str, Any]) -> str:
    """Return the text of the right choice."""
    text: str = row["choices"]["ABCDEFGHIJ".index(row["answer"])]
    return text


@pytest.mark.parametrize("write", [as_parquet, lambda folder, row: exam_file(folder / "law.jsonl", row)])
@pytest.mark.parametrize(("form", "values", "choices", "subject"), HUB)
def test_a_row_of_the_hub_is_imported_with_its_right_choice(
    tmp_path: Path,
    write: Any,
    form: Format,
    values: dict[str, Any],
    choices: list[str] | None,
    subject: str | None,
) -> None:
    if form == "medmcqa":  # the whole file shows where positions start
        values = {**values}
        path = (
            write(tmp_path, values)
            if write is as_parquet
            else exam_file(tmp_path / "x.jsonl", values, {**values, "cop": 0})
        )
        row = next(row for row in import_exam(form, [path]).rows)
    else:
        row = import_one(form, write(tmp_path, values))
    assert right(row) == "two"
    assert choices is None or row["choices"] == choices
    assert row["question"].endswith("How many?" if form != "hellaswag" else "she")
    assert row["subject"] == subject


def test_every_format_has_a_test() -> None:
    tested = {form for form, *_ in HUB} | {"cmmlu", "cybermetric", "aiken", "gift"}
    assert tested | {"aqua", "agieval"} == set(FORMATS)  # test_importer has those two


CYBERMETRIC = {"question": "How many?", "answers": dict(zip("ABCD", FOUR, strict=True)), "solution": "B"}


def test_cybermetric_is_one_object_with_a_list_of_questions(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"questions": [CYBERMETRIC, {**CYBERMETRIC, "answers": None}]}, indent=4))
    imported = import_exam("cybermetric", [path])
    assert [(row["id"], row["choices"], row["answer"]) for row in imported.rows] == [
        ("cybermetric/x/0", CYBERMETRIC["answers"], "B")
    ]
    assert imported.left_out[0].startswith(f"{path}:questions[1]: choices")


@pytest.mark.parametrize("whole", [[CYBERMETRIC], {"questions": CYBERMETRIC}, {"questions": ["How many?"]}])
def test_cybermetric_without_a_list_of_questions_is_refused(tmp_path: Path, whole: object) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(ExamUnreadable, match="not a JSON object with a list questions of objects"):
        import_exam("cybermetric", [path])


def test_wikihows_marks_are_removed(tmp_path: Path) -> None:
    row = import_one("hellaswag", exam_file(tmp_path / "x.jsonl", HELLASWAG))
    assert row["question"] == "How does this go on?\n\nCounting: She counts. aloud. she"


def test_the_passage_comes_before_the_question(tmp_path: Path) -> None:
    sciq = import_one("sciq", exam_file(tmp_path / "x.jsonl", {**SCIQ, "support": "There are two."}))
    assert sciq["question"] == "There are two.\n\nHow many?"


@pytest.mark.parametrize("form", ["sciq", "gpqa", "truthfulqa"])
def test_a_right_choice_that_always_comes_first_is_moved_the_same_way_each_time(
    tmp_path: Path, form: Format
) -> None:
    by_form: dict[str, dict[str, Any]] = {name: values for name, values, *_ in HUB}
    key = "Question" if form == "gpqa" else "question"
    rows = [{**by_form[form], key: f"How many of {number}?"} for number in range(80)]
    path = exam_file(tmp_path / "x.jsonl", *rows)
    imported = import_exam(form, [path]).rows
    assert {right(row) for row in imported} == {"two"}
    letters = Counter(row["answer"] for row in imported)
    assert len(letters) == len(imported[0]["choices"])
    assert max(letters.values()) < 45
    assert import_exam(form, [path]).rows == imported


def test_files_of_arc_and_commonsenseqa_as_their_authors_publish_them(tmp_path: Path) -> None:
    choices = [{"text": text, "label": label} for label, text in zip("ABC", FOUR, strict=False)]
    values = {"id": "x", "question": {"stem": "How many?", "choices": choices}, "answerKey": "B"}
    assert right(import_one("arc", exam_file(tmp_path / "x.jsonl", values))) == "two"


def test_a_file_of_truthfulqa_as_its_authors_publish_it(tmp_path: Path) -> None:
    path = tmp_path / "mc_task.json"
    path.write_text(json.dumps([{"question": "How many?", "mc1_targets": {"one": 0, "two": 1, "three": 0}}]))
    assert right(import_one("truthfulqa", path)) == "two"


@pytest.mark.parametrize(("positions", "texts"), [((1, 4), ["one", "four"]), ((0, 3), ["one", "four"])])
def test_positions_of_medmcqa_count_from_0_or_1_as_the_whole_file_shows(
    tmp_path: Path, positions: tuple[int, int], texts: list[str]
) -> None:
    rows = [{**MEDMCQA, "question": f"How many of {position}?", "cop": position} for position in positions]
    assert [
        right(row) for row in import_exam("medmcqa", [exam_file(tmp_path / "x.json", *rows)]).rows
    ] == texts


def test_ambiguous_positions_of_medmcqa_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExamUnreadable, match="they may count from 0 or from 1"):
        import_exam("medmcqa", [exam_file(tmp_path / "x.json", {**MEDMCQA, "cop": 2})])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("form", ["cmmlu", "ceval"])
def test_a_csv_file_with_a_header_has_its_subject_in_its_name(
    tmp_path: Path, form: Format, encoding: str
) -> None:
    row = {"": 0, "Question": "How many?", **dict(zip("ABCD", FOUR, strict=True)), "Answer": "B"}
    values = row if form == "cmmlu" else C_EVAL
    imported = import_one(form, as_csv(tmp_path / "law_val.csv", values, encoding=encoding))
    assert (right(imported), imported["subject"], imported["question"]) == ("two", "law", "How many?")


@pytest.mark.parametrize(
    ("form", "values", "reason"),
    [
        ("arc", {"question": "How many?", "choices": LABELLED, "answerKey": ""}, WITHOUT_ANSWER),
        (
            "arc",
            {"question": "How many?", "choices": {**LABELLED, "label": ["A", "A", "C"]}, "answerKey": "A"},
            "marks are A, A, C",
        ),
        (
            "arc",
            {"question": "How many?", "choices": NUMBERED, "answerKey": "4"},
            'answer: "4" is none of the letters',
        ),
        ("hellaswag", {**HELLASWAG, "label": ""}, WITHOUT_ANSWER),
        ("medmcqa", {**MEDMCQA, "cop": -1}, WITHOUT_ANSWER),
        ("ceval", {**C_EVAL, "answer": ""}, WITHOUT_ANSWER),
        ("mmlu-pro", {**MMLU_PRO, "answer_index": 0}, "answer: C and answer_index 0 are not the same choice"),
        ("mmlu-pro", {**MMLU_PRO, "answer": "B", "answer_index": 1}, "the text of the right choice is N/A"),
        (
            "mmlu",
            {"question": "How many?", "choices": FOUR, "answer": 4},
            'answer: "E" is none of the letters',
        ),
        (
            "mmlu",
            {"question": "How many?", "choices": "['one' 'two']", "answer": 0},
            "choices: it is not a list",
        ),
        (
            "mmlu",
            {"question": "How many?", "choices": FOUR, "answer": True},
            "answer: true is none of the letters",
        ),
        ("truthfulqa", {"question": "How many?", "mc1_targets": {"a": 1, "b": 1}}, "2 choices are right"),
        ("sciq", {**SCIQ, "distractor2": None}, "a wrong one is missing"),
    ],
)
def test_a_record_without_a_right_choice_is_left_out_and_listed(
    tmp_path: Path, form: Format, values: dict[str, Any], reason: str
) -> None:
    path = exam_file(tmp_path / "x.jsonl", values)
    with pytest.raises(ExamUnreadable) as raised:
        import_exam(form, [path])
    assert f"The first: {path}:1: " in str(raised.value)
    assert reason in str(raised.value)


AIKEN = """\
How many
are there?
B) two
A) one
ANSWER: B

Is it so?
A. Yes
B. No

ANSWER: a
"""


def test_an_aiken_file(tmp_path: Path) -> None:
    path = tmp_path / "quiz.txt"
    path.write_text(AIKEN, encoding="utf-8-sig")
    imported = import_exam("aiken", [path])
    assert [(row["question"], row["choices"], row["answer"]) for row in imported.rows] == [
        ("How many\nare there?", ["one", "two"], "B"),
        ("Is it so?", ["Yes", "No"], "A"),
    ]
    assert imported.left_out == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("Which?\nA. one\nA. two\nANSWER: A", "marks are A, A"),
        ("Which?\nA. one\nC. two\nANSWER: A", "marks are A, C"),
        ("Which?\nA. one\nB. two", "it has no line ANSWER:"),
        ("Which?\nA. one\nof these\nB. two\nANSWER: A", "'of these' follows a choice"),
        ("Which?\nA. one\nB. two\nANSWER: C", 'answer: "C" is none of the letters A, B'),
        ("Which?\nANSWER: A", "choices: "),
    ],
)
def test_a_bad_question_of_aiken_is_left_out_and_listed(tmp_path: Path, lines: str, reason: str) -> None:
    path = tmp_path / "quiz.txt"
    path.write_text(f"{AIKEN}\n{lines}\n")
    imported = import_exam("aiken", [path])
    assert len(imported.rows) == 2
    (line,) = imported.left_out
    assert line.startswith(f"{path}:13: ")
    assert reason in line


GIFT = r"""
// a comment
$CATEGORY: $course$/top/Arithmetic

::Name:: How many\: 1 \= 1?
{
  ~one # no
  =two\~ish # yes
  ~%-50%three
  #### general
}

The sum {~one =two ~three} of 1 and 1.

Is 1 \{one\}?{TRUE#no#yes}

[html]Which?{~%100%this ~that}
"""


def test_a_gift_file(tmp_path: Path) -> None:
    path = tmp_path / "quiz.gift"
    path.write_text(GIFT, encoding="utf-8")
    imported = import_exam("gift", [path])
    assert imported.left_out == []
    assert [(row["question"], row["choices"], row["answer"]) for row in imported.rows] == [
        ("How many: 1 = 1?", ["one", "two~ish", "three"], "B"),
        ("The sum _____ of 1 and 1.", ["one", "two", "three"], "B"),
        ("Is 1 {one}?", ["True", "False"], "A"),
        ("Which?", ["this", "that"], "A"),
    ]
    assert {row["subject"] for row in imported.rows} == {"Arithmetic"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Who?{=no one =nobody}", "not a multiple-choice or true-false question"),
        ("When?{#1822:5}", "not a multiple-choice or true-false question"),
        ("Match.{=a -> b =c -> d}", "not a multiple-choice or true-false question"),
        ("Write.{}", "not a multiple-choice or true-false question"),
        ("A description.", "it has no answers in braces"),
        ("Which?{~%50%a ~%50%b ~c}", "2 choices are right or partly right"),
        ("Which?{~a ~b}", "0 choices are right"),
        ("Which?{=a ~a}", "Choices A and B are the same"),
    ],
)
def test_a_question_of_gift_without_one_right_choice_is_left_out_and_listed(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "quiz.gift"
    path.write_text(f"1?{{=a ~b}}\n\n{text}\n")
    imported = import_exam("gift", [path])
    (line,) = imported.left_out
    assert line.startswith(f"{path}:3: ")
    assert reason in line


@pytest.mark.parametrize(
    ("form", "name", "text", "reason"),
    [
        (
            "mmlu",
            "x.csv",
            "Which?;a;b;c;d;A\n",
            ":1: 1 columns; it looks separated by semicolons: save it with commas.",
        ),
        (
            "mmlu",
            "x.csv",
            "0,Which?,a,b,c,d,A\n",
            ":1: 7 columns. A file of mmlu has six, and no header: question, four",
        ),
        ("mmlu", "x.csv", "0,Which?,a,b,c,d,A,why\n", "Question, A, B, C, D, Answer is of cmmlu or ceval"),
        (
            "ceval",
            "x.csv",
            "id;question;A;B;C;D;answer\n0;Which?;a;b;c;d;A\n",
            "it looks separated by semicolons",
        ),
        (
            "ceval",
            "x.csv",
            "question,A,B,C,answer\nWhich?,a,b,c,A\n",
            "there is no column D; expected are question, A, B",
        ),
        ("ceval", "x.csv", "question,A,A,B\n", "the column A appears twice"),
        (
            "ceval",
            "x.csv",
            "question,A,B,C,D,answer\nWhich?,a,b,c,A\n",
            ":2: 5 columns, and the header has 6",
        ),
        ("gpqa", "x.csv", "question,answer\nWhich?,A\n", "there is no column Correct Answer"),
        ("mmlu", "x.parquet", "no parquet", "is not a Parquet file"),
        (
            "mmlu",
            "x.jsonl",
            '{"question": "a", "question": "b"}',
            ':1: the key "question" appears twice: remove one',
        ),
        ("arc", "x.json", "[1]", "x.json:[0]: it is not a JSON object"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_expected_columns(
    tmp_path: Path, form: Format, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ExamUnreadable) as raised:
        import_exam(form, [tmp_path / name])
    assert reason in str(raised.value)


def test_a_parquet_file_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_parquet(tmp_path, {"question": "How many?"})
    for name in [name for name in sys.modules if name.startswith("pyarrow")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExamUnreadable, match=r"pip install 'mcq-service\[parquet\]'"):
        import_exam("mmlu", [path])


def test_a_byte_order_mark_anywhere_is_in_no_question(tmp_path: Path) -> None:
    line = '"Which?",a,b,c,d,A\n'
    plain, marked = tmp_path / "plain.csv", tmp_path / "marked.csv"
    plain.write_text(line)
    marked.write_text(f"\ufeff{line}\ufeff{line.replace('Which', 'What')}")
    imported = import_exam("mmlu", [marked]).rows
    assert [row["question"] for row in imported] == ["Which?", "What?"]
    assert import_exam("mmlu", [plain, marked]).left_out == [f"{marked}:1: the same question as {plain}:1"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(-1, 5) | st.sampled_from(["", "A", "1", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ABtext"), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize(("form", "values"), [(form, values) for form, values, *_ in HUB])
@examples(30)
@given(data=st.data())
def test_any_record_is_imported_or_left_out_with_a_reason(
    tmp_path: Path, form: Format, values: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([*values]))
    inner = values[name]
    changed = data.draw(json_values)
    if isinstance(inner, dict) and data.draw(st.booleans()):
        changed = {**inner, data.draw(st.sampled_from([*inner])): changed}
    path = exam_file(tmp_path / "x.jsonl", {**values, name: changed})
    with suppress(ExamUnreadable):
        assert len(import_exam(form, [path]).rows) == 1


def test_an_imported_exam_can_be_read(tmp_path: Path) -> None:
    output = tmp_path / "exam.jsonl"
    for number, (form, values, *_) in enumerate(HUB):
        key = "Question" if form == "gpqa" else "ctx" if form == "hellaswag" else "question"
        row = import_one(form, as_parquet(tmp_path, {**values, key: f"How many of {number}?"}))
        output.write_text((output.read_text() if number else "") + json.dumps(row) + "\n")
    questions = read_exams([output]).questions
    assert [each.question.options[each.answer].text for each in questions] == ["two"] * len(HUB)
