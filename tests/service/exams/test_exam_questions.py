"""Exams are read, mistakes in them are named by file and line, and no content is in both halves."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mcq_service.exams.errors import ExamUnreadable
from mcq_service.exams.questions import content_digest, read
from mcq_service.protocol import Question

FRUIT: dict[str, Any] = {
    "id": "a",
    "subject": "botany",
    "question": "Which is a fruit?",
    "choices": ["stone", "apple", "car"],
    "answer": "B",
}


def written(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_a_question_is_read_with_its_answer_as_letter_or_position(tmp_path: Path) -> None:
    other = {**FRUIT, "id": 7, "question": "And which is none?", "answer": 2, "subject": None, "source": "x"}
    exam = read([written(tmp_path / "exam.jsonl", FRUIT, "", other)])
    first, second = exam.questions
    assert (first.id, first.subject, first.answer, first.labels) == ("a", "botany", 1, ["A", "B", "C"])
    assert (second.id, second.subject, second.answer) == ("7", None, 2)
    assert exam.digests["exam.jsonl"].startswith("sha256:")


def test_choices_may_have_letters_of_their_own(tmp_path: Path) -> None:
    mapped = {**FRUIT, "choices": {"B": "stone", "D": "apple", "Z": "car"}, "answer": "D"}
    (question,) = read([written(tmp_path / "exam.jsonl", mapped)]).questions
    assert (question.labels, question.answer) == (["B", "D", "Z"], 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "Expecting property name"),
        ("[]", "valid dictionary"),
        ({**FRUIT, "answer": "D"}, "'D' is none of the letters A, B, C"),
        ({**FRUIT, "answer": 3}, "3 is not a position among 3 choices"),
        ({**FRUIT, "answer": -1}, "-1 is not a position"),
        ({**FRUIT, "choices": ["one"]}, "choices: "),
        ({**FRUIT, "question": "  "}, "question: must not be blank"),
        ({key: value for key, value in FRUIT.items() if key != "answer"}, "answer: Field required"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, row: Any, said: str) -> None:
    path = written(tmp_path / "exam.jsonl", FRUIT, row)
    with pytest.raises(ExamUnreadable) as caught:
        read([path])
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)


def test_a_file_that_is_missing_empty_or_binary_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.jsonl", tmp_path / "binary.jsonl"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    for path, said in ((tmp_path / "none.jsonl", "No such file"), (empty, "no question"), (binary, "UTF-8")):
        with pytest.raises(ExamUnreadable, match=said) as caught:
            read([path])
        assert str(path) in str(caught.value)


def test_a_question_that_no_service_takes_is_left_out_and_reported(tmp_path: Path) -> None:
    twice = {**FRUIT, "id": "b", "choices": ["7925", "8925", "7925"]}
    exam = read([written(tmp_path / "exam.jsonl", FRUIT, twice)])
    assert [each.id for each in exam.questions] == ["a"]
    assert "exam.jsonl:2: Choices A and C are the same" in exam.skipped[0]


def test_the_same_content_in_another_file_and_order_is_a_duplicate_and_reported(tmp_path: Path) -> None:
    again = {**FRUIT, "id": "z", "question": " Which  is a\nfruit?", "choices": ["car", "apple ", "stone"]}
    first, second = written(tmp_path / "1.jsonl", FRUIT), written(tmp_path / "2.jsonl", again)
    exam = read([first, second])
    assert [each.id for each in exam.questions] == ["a"]
    assert exam.duplicates == [f"{second}:1: the same question as {first}:1"]


def test_the_line_separator_of_unicode_does_not_end_a_line(tmp_path: Path) -> None:
    line = json.dumps({**FRUIT, "question": "Which\u2028is?"}, ensure_ascii=False)
    assert "\u2028" in line
    assert len(read([written(tmp_path / "exam.jsonl", line)]).questions) == 1


def many(tmp_path: Path, count: int = 400) -> Path:
    rows = [{**FRUIT, "id": str(number), "question": f"Which is number {number}?"} for number in range(count)]
    return written(tmp_path / "many.jsonl", *rows)


def test_the_halves_are_apart_complete_and_about_even(tmp_path: Path) -> None:
    exam = read([many(tmp_path)])
    halves = [{each.id for each in exam.part(half)} for half in ("calibration", "evaluation")]
    assert not halves[0] & halves[1]
    assert len(halves[0] | halves[1]) == len(exam.part("all")) == 400
    assert 160 < len(halves[0]) < 240


def test_a_limit_takes_the_same_questions_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    path = many(tmp_path)
    some = {each.id for each in read([path]).part("evaluation", 20)}
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    assert {each.id for each in read([path]).part("evaluation", 20)} == some
    assert len(some) == 20
    assert {each.id for each in read([path]).part("evaluation", 10)} < some


choices = st.lists(st.text("abc é", min_size=1).filter(str.strip), min_size=2, max_size=6)


@given(words=st.text("xyz \n", min_size=1).filter(str.strip), texts=choices, data=st.data())
def test_spacing_and_order_do_not_change_what_a_question_is(
    words: str, texts: list[str], data: st.DataObject
) -> None:
    texts = list({" ".join(text.split()): text for text in texts}.values())
    assume(len(texts) > 1)
    shuffled = data.draw(st.permutations(texts))
    other = Question(question=f"  {words}\n", choices=[f" {text} " for text in shuffled])
    assert content_digest(Question(question=words, choices=texts)) == content_digest(other)
    assert content_digest(Question(question=words + " too", choices=texts)) != content_digest(other)
