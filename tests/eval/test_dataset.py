"""Reading exams: errors name the file and line, and the two halves share no content."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.eval.files import exam_file
from tests.service.examples import examples

from mcq_eval.dataset.answer_key import answer_position, unambiguous_answer
from mcq_eval.dataset.exam import content_digest
from mcq_eval.dataset.exam_file import parse_question, read_exams
from mcq_eval.errors import ExamUnreadable
from mcq_service.api.mcq.question_schemas import Question

FRUIT: dict[str, Any] = {
    "id": "a",
    "subject": "botany",
    "question": "Which is a fruit?",
    "choices": ["stone", "apple", "car"],
    "answer": "B",
}


def test_a_question_is_read_with_its_answer_as_letter_or_position(tmp_path: Path) -> None:
    other = {**FRUIT, "id": 7, "question": "And which is none?", "answer": 2, "subject": None, "source": "x"}
    exam = read_exams([exam_file(tmp_path / "exam.jsonl", FRUIT, "", other)])
    first, second = exam.questions
    assert (first.id, first.subject, first.answer, first.labels) == ("a", "botany", 1, ["A", "B", "C"])
    assert (second.id, second.subject, second.answer) == ("7", None, 2)
    assert exam.digests["exam.jsonl"].startswith("sha256:")


def test_choices_may_have_their_own_letters(tmp_path: Path) -> None:
    mapped = {**FRUIT, "choices": {"B": "stone", "D": "apple", "Z": "car"}, "answer": "D"}
    (question,) = read_exams([exam_file(tmp_path / "exam.jsonl", mapped)]).questions
    assert (question.labels, question.answer) == (["B", "D", "Z"], 1)


@pytest.mark.parametrize(
    ("choices", "answer", "right"),
    [
        (["True", "False"], True, "True"),
        (["True", "False"], False, "False"),
        (["maybe", "FALSE", "true"], False, "FALSE"),
        (["stone", "an  apple", "car"], "an apple ", "an  apple"),
        (["10", "20", "30"], "20", "20"),
        (["0", "1", "2"], 2, "2"),  # by its text and by its position
        (["0", "1", "2"], "2", "2"),
        (["B", "C", "A and B"], "A", "B"),
        (["A", "B", "C"], "B", "B"),
        (["one", "two"], 1.0, "two"),  # as pandas writes a column of numbers with gaps
    ],
)
def test_an_answer_may_be_the_text_of_one_choice(choices: list[str], answer: Any, right: str) -> None:
    assert choices[parse_question({**FRUIT, "choices": choices, "answer": answer}).answer] == right


@pytest.mark.parametrize(
    ("choices", "answer", "reason"),
    [
        (["1", "2", "3"], 2, 'may mean choice B ("2") or choice C ("3"): write "B" or "C"'),
        (["1.0", "2.0"], 1.0, 'may mean choice A ("1.0") or choice B ("2.0")'),
        (["1", "2", "3"], "2", 'may mean choice B ("2") or choice C ("3"): write "B" or "C"'),
        (["B", "A", "C"], "A", 'may mean choice A ("B") or choice B ("A"): write 0 or 1'),
        (["B", "A", "1", "0"], "B", "give the choices as a map of other letters"),
        (["true", "True"], True, 'may mean choice A ("true") or choice B ("True")'),
        (["a", "b"], True, "true is none of the letters A, B"),
        (["0", "1"], False, "false is none of the letters"),
        (["a", "b"], "1", '"1" is none of the letters A, B, and not the text of a choice'),
        (["a", "b"], 2, "2 is not a position among 2 choices, which are counted from 0: write a letter"),
        (["10", "20"], 20, "20 is not a position"),
        (["a", "b"], 0.5, "0.5 is not a position"),
        (["a", "b"], float("nan"), "NaN is not a position"),
        (["a", "b"], None, "null is none of the letters"),
        (["a", "b"], ["A"], '["A"] is none of the letters'),
        (["a", "b"], {"label": "A"}, "is none of the letters"),
        (["a", "b"], "", '"" is none of the letters'),
        (["a", "b"], "x" * 5000, "xxx… is none of the letters"),
    ],
)
def test_an_answer_that_fits_no_choice_or_several_is_refused(
    choices: list[str], answer: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^answer: .*{re.escape(reason)}"):
        parse_question({**FRUIT, "choices": choices, "answer": answer})


@examples(100)
@given(
    texts=st.lists(st.text("ABC012 ", min_size=1).filter(str.strip), min_size=2, max_size=4), data=st.data()
)
def test_a_written_answer_is_read_as_the_same_choice(texts: list[str], data: st.DataObject) -> None:
    texts = list({" ".join(text.split()): text for text in texts}.values())
    assume(len(texts) > 1)
    options = Question(question="Which?", choices=texts).options
    choice = data.draw(st.integers(0, len(texts) - 1))
    try:
        answer = unambiguous_answer(choice, options)
    except ValueError:
        for name in (options[choice].label, choice, options[choice].text):
            with pytest.raises(ValueError, match="may mean"):
                answer_position(name, options)
    else:
        assert answer_position(answer, options) == choice


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "Expecting property name"),
        (
            "id,question,A,B,answer",
            "not JSON: Expecting value: line 1 column 1 (char 0). An exam has one JSON object",
        ),
        ("[]", "not a JSON object. An exam has one JSON object in each line"),
        ({**FRUIT, "answer": "D"}, '"D" is none of the letters A, B, C'),
        ({**FRUIT, "answer": 3}, "3 is not a position among 3 choices"),
        ({**FRUIT, "answer": -1}, "-1 is not a position"),
        ({**FRUIT, "choices": ["one"]}, "choices: "),
        ({**FRUIT, "question": "  "}, "question: must not be blank"),
        ({key: value for key, value in FRUIT.items() if key != "answer"}, "answer: Field required"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_an_error_names_the_file_and_line(tmp_path: Path, row: Any, reason: str) -> None:
    path = exam_file(tmp_path / "exam.jsonl", FRUIT, row)
    with pytest.raises(ExamUnreadable) as caught:
        read_exams([path])
    assert str(caught.value).startswith(f"{path}:2: ")
    assert reason in str(caught.value)


def test_a_file_that_is_missing_empty_or_binary_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.jsonl", tmp_path / "binary.jsonl"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    for path, reason in (
        (tmp_path / "none.jsonl", "No such file"),
        (empty, "no question"),
        (binary, "UTF-8"),
    ):
        with pytest.raises(ExamUnreadable, match=reason) as caught:
            read_exams([path])
        assert str(path) in str(caught.value)


def test_a_byte_order_mark_changes_no_question(tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.jsonl", tmp_path / "marked.jsonl"
    line = json.dumps(FRUIT)
    plain.write_text(line)
    marked.write_text(f"\ufeff{line}\n\ufeff{line.replace('fruit', 'car')}")  # of two files
    exam = read_exams([marked])
    assert [each.question.question for each in exam.questions] == ["Which is a fruit?", "Which is a car?"]
    assert exam.questions[0].digest == read_exams([plain]).questions[0].digest
    # The file's digest covers its bytes, as in sha256sum and in questions.digest of an MCQExam.
    assert exam.digests["marked.jsonl"] == f"sha256:{hashlib.sha256(marked.read_bytes()).hexdigest()}"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"id": 1, "question": "Q?", "choices": {"A": "x", "B": "y", "A": "z"}, "answer": "A"}', "A"),
        ('{"id": 1, "question": "Q?", "choices": ["x", "y"], "answer": "A", "answer": "B"}', "answer"),
    ],
)
def test_a_repeated_key_is_refused(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(ExamUnreadable, match=f'exam.jsonl:1: the key "{key}" appears twice: remove one'):
        read_exams([exam_file(tmp_path / "exam.jsonl", line)])


def test_a_question_that_the_service_refuses_is_left_out_and_reported(tmp_path: Path) -> None:
    twice = {**FRUIT, "id": "b", "choices": ["7925", "8925", "7925"]}
    exam = read_exams([exam_file(tmp_path / "exam.jsonl", FRUIT, twice)])
    assert [each.id for each in exam.questions] == ["a"]
    assert "exam.jsonl:2: Choices A and C are the same" in exam.skipped[0]


def test_the_same_content_in_another_file_and_order_is_a_duplicate_and_reported(tmp_path: Path) -> None:
    duplicate = {
        **FRUIT,
        "id": "z",
        "question": " Which  is a\nfruit?",
        "choices": ["car", "apple ", "stone"],
    }
    first, second = exam_file(tmp_path / "1.jsonl", FRUIT), exam_file(tmp_path / "2.jsonl", duplicate)
    exam = read_exams([first, second])
    assert [each.id for each in exam.questions] == ["a"]
    assert exam.duplicates == [f"{second}:1: the same question as {first}:1"]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """A result names its files, and a calibration's rule is for each of them."""
    (tmp_path / "other").mkdir()
    paths = [exam_file(tmp_path / "test.jsonl", FRUIT), exam_file(tmp_path / "other/test.jsonl", FRUIT)]
    with pytest.raises(ExamUnreadable, match=r"other/test\.jsonl: another file has the same name"):
        read_exams(paths)


def test_a_unicode_line_separator_does_not_end_a_line(tmp_path: Path) -> None:
    line = json.dumps({**FRUIT, "question": "Which\u2028is?"}, ensure_ascii=False)
    assert "\u2028" in line
    assert len(read_exams([exam_file(tmp_path / "exam.jsonl", line)]).questions) == 1


def large_exam(tmp_path: Path, count: int = 400) -> Path:
    rows = [{**FRUIT, "id": str(number), "question": f"Which is number {number}?"} for number in range(count)]
    return exam_file(tmp_path / "many.jsonl", *rows)


def test_the_halves_are_disjoint_complete_and_about_even(tmp_path: Path) -> None:
    exam = read_exams([large_exam(tmp_path)])
    halves = [{each.id for each in exam.select(half)} for half in ("calibration", "evaluation")]
    assert not halves[0] & halves[1]
    assert len(halves[0] | halves[1]) == len(exam.select("all")) == 400
    assert 160 < len(halves[0]) < 240


def test_a_limit_selects_the_same_questions_in_any_order_of_the_file(tmp_path: Path) -> None:
    path = large_exam(tmp_path)
    selected = {each.id for each in read_exams([path]).select("evaluation", 20)}
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    assert {each.id for each in read_exams([path]).select("evaluation", 20)} == selected
    assert len(selected) == 20
    assert {each.id for each in read_exams([path]).select("evaluation", 10)} < selected


choices = st.lists(st.text("abc é", min_size=1).filter(str.strip), min_size=2, max_size=6)


@given(question=st.text("xyz \n", min_size=1).filter(str.strip), texts=choices, data=st.data())
def test_spacing_and_order_do_not_change_a_questions_digest(
    question: str, texts: list[str], data: st.DataObject
) -> None:
    texts = list({" ".join(text.split()): text for text in texts}.values())
    assume(len(texts) > 1)
    shuffled = data.draw(st.permutations(texts))
    other = Question(question=f"  {question}\n", choices=[f" {text} " for text in shuffled])
    assert content_digest(Question(question=question, choices=texts)) == content_digest(other)
    assert content_digest(Question(question=question + " too", choices=texts)) != content_digest(other)
