"""Converting published exams to our format: unusable records are listed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.eval.files import exam_file, import_one

from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.errors import ExamUnreadable
from mcq_eval.importing.importer import Format, ImportedExam, import_exam


def test_a_row_of_mmlu_may_have_commas_quotes_and_lines_in_its_cells(tmp_path: Path) -> None:
    path = exam_file(
        tmp_path / "formal_logic_test.csv", '"Is ""p, q""\na formula?",yes,no,maybe,"p, and not q",B'
    )
    assert import_one("mmlu", path) == {
        "id": "mmlu/formal_logic_test/0",
        "subject": "formal_logic",
        "question": 'Is "p, q"\na formula?',
        "choices": ["yes", "no", "maybe", "p, and not q"],
        "answer": "B",
    }


AQUA = {
    "question": "Half of ten?",
    "options": ["A)4", "B) 5", "C).5", "D)6", "E)None of these"],
    "rationale": "…",
    "correct": "B",
}


def test_the_letters_before_the_choices_of_aqua_are_removed(tmp_path: Path) -> None:
    assert import_one("aqua", exam_file(tmp_path / "dev.json", AQUA)) == {
        "id": "aqua/dev.json/0",
        "subject": "algebra",
        "question": "Half of ten?",
        "choices": ["4", "5", ".5", "6", "None of these"],
        "answer": "B",
    }


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        (["(A)3", "(C)5", "(B)4"], ["3", "4", "5"]),
        (["B. 4", " A. 3", "C. 5"], ["3", "4", "5"]),
        (["A 3", "C 5", "B 4"], ["3", "4", "5"]),  # letters alone, as in four questions of LogiQA
        (["(A)3", "C．5", "B 4"], ["3", "4", "5"]),
        (["A cat", "Two cats", "No cat"], ["A cat", "Two cats", "No cat"]),  # no marks at all
        (["3", "5", "4"], ["3", "5", "4"]),
    ],
)
def test_the_answer_is_the_option_with_its_mark_in_any_order(
    tmp_path: Path, options: list[str], choices: list[str]
) -> None:
    row = import_one("aqua", exam_file(tmp_path / "dev.json", {**AQUA, "options": options}))
    assert (row["choices"], row["answer"]) == (choices, "B")


@pytest.mark.parametrize(
    ("options", "marks"),
    [
        (["(A)3", "(B)4", "(B)5"], "A, B, B"),
        (["(A)3", "(B)4", "(D)5"], "A, B, D"),
        (["(A)3", "4", "(C)5"], "A, none, C"),
        (["3", "4", "(C)5"], "none, none, C"),
    ],
)
def test_a_question_with_repeated_or_missing_marks_is_left_out(
    tmp_path: Path, options: list[str], marks: str
) -> None:
    path = exam_file(tmp_path / "dev.json", AQUA, {**AQUA, "options": options})
    imported = import_exam("aqua", [path])
    assert [row["question"] for row in imported.rows] == ["Half of ten?"]
    assert imported.left_out == [
        f"{path}:2: options: their marks are {marks}, and should be A, B, C in any order"
    ]


def test_the_answer_is_written_without_ambiguity(
    tmp_path: Path,
) -> None:
    output = tmp_path / "exam.jsonl"
    row = import_one("mmlu", exam_file(tmp_path / "biology_test.csv", "Which blood type?,B,A,AB,O,A"))
    output.write_text(json.dumps(row))
    (question,) = read_exams([output]).questions
    assert (row["answer"], question.question.options[question.answer].text) == (0, "B")


AGIEVAL = {
    "passage": "Six people queue.",
    "question": "Who is first?",
    "options": ["(A)Ann", "(B)Bo"],
    "label": "A",
}


@pytest.mark.parametrize(
    "options",
    [
        ["(A)Ann", "(B)Bo"],
        ["  A. Ann", " B. Bo"],
        ["A．Ann", "B．Bo"],
        ["（A）Ann", "（B）Bo"],
    ],
)
def test_a_row_of_agieval_has_its_passage_before_its_question(tmp_path: Path, options: list[str]) -> None:
    assert import_one("agieval", exam_file(tmp_path / "lsat-ar.jsonl", {**AGIEVAL, "options": options})) == {
        "id": "agieval/lsat-ar.jsonl/0",
        "subject": "lsat-ar",
        "question": "Six people queue.\n\nWho is first?",
        "choices": ["Ann", "Bo"],
        "answer": "A",
    }


def test_a_passage_may_be_missing_and_a_single_answer_may_be_a_list(tmp_path: Path) -> None:
    row = import_one(
        "agieval", exam_file(tmp_path / "jec-qa-ca.jsonl", {**AGIEVAL, "passage": None, "label": ["B"]})
    )
    assert (row["question"], row["answer"]) == ("Who is first?", "B")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": ["A", "B"]}, 'answer: "AB" is none of the letters A, B'),
        ({"options": None, "label": None, "answer": "7"}, "it has no choices"),
        ({"options": ["(A)same", "(B)same"]}, "Choices A and B are the same"),
        ({"label": None}, "answer: null is none of the letters"),
        ({}, "the same question as"),
    ],
)
def test_an_unusable_record_is_left_out_and_listed(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path = exam_file(tmp_path / "exam.jsonl", AGIEVAL, {**AGIEVAL, **change})
    imported = import_exam("agieval", [path])
    assert len(imported.rows) == 1
    (line,) = imported.left_out
    assert line.startswith(f"{path}:2: ")
    assert reason in line


def test_the_same_question_in_another_file_is_left_out(tmp_path: Path) -> None:
    paths = [exam_file(tmp_path / name, AQUA) for name in ("dev.json", "test.json")]
    assert import_exam("aqua", paths) == ImportedExam(
        rows=[import_one("aqua", paths[0])], left_out=[f"{paths[1]}:1: the same question as {paths[0]}:1"]
    )


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        (
            "mmlu",
            "q,1,2,3,4,A\nq,1,2,A\n",
            ":2: 4 columns. A file of mmlu has six, and no header: question, four",
        ),
        ("mmlu", 'q,1,2,3,4,A\n"q,1', ":2: unexpected end of data"),
        ("mmlu", "", "the files have no mmlu question."),
        ("aqua", "{", ":1: this is not JSON: Expecting property name"),
        ("aqua", "[1]", ":[0]: it is not a JSON object"),
        ("aqua", "1", ":1: it is not a JSON object"),
        ("agieval", '{"question": "2 + 2?", "options": null, "answer": "4"}', "The first: "),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, form: Format, text: str, reason: str) -> None:
    with pytest.raises(ExamUnreadable) as raised:
        import_exam(form, [exam_file(tmp_path / "file", text)])
    assert reason in str(raised.value)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcq_service", "exam", "import", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_writes_an_exam_and_lists_what_it_left_out(tmp_path: Path) -> None:
    path = exam_file(tmp_path / "dev.json", AQUA, {**AQUA, "options": ["A)1", "B)1"]})
    output = tmp_path / "exam.jsonl"
    done = run("aqua", path, "--output", output)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"left out: {path}:2: Choices A and B are the same: each choice must differ from the others",
        "1 questions, 1 left out",
    ]
    assert [question.id for question in read_exams([output]).questions] == ["aqua/dev.json/0"]
    assert run("aqua", path).stdout == output.read_text()


def test_the_command_reports_an_error_in_one_line(tmp_path: Path) -> None:
    missing = run("mmlu", tmp_path / "none.csv")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == f"error: {tmp_path / 'none.csv'} can't be read: No such file or directory.\n"
    nowhere = run("aqua", exam_file(tmp_path / "dev.json", AQUA), "--output", tmp_path / "no/exam.jsonl")
    assert nowhere.returncode == 1
    assert "No such file or directory" in nowhere.stderr
