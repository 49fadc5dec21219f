"""The result page agrees with the JSON, loads nothing, and escapes the exam's texts."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from mcq_eval.report import html_page
from mcq_eval.report.comparison import Comparison
from mcq_eval.report.exam_report import Figures, Latency, Report
from mcq_eval.report.html_page import render_page
from mcq_eval.report.rows import Failure, Row
from mcq_service.api.mcq.answer_schemas import Usage

VOID = {"meta", "link", "br", "img", "input"}


def row(number: int, *, right: bool, subject: str | None = "logic") -> Row:
    return Row(
        id=f"q{number}",
        digest=str(number),
        subject=subject,
        labels=["A", "B"],
        answer="A" if right else "B",
        chosen="A",
        probabilities=[0.75, 0.25],
        abstained=False,
        answer_ms=12,
    )


def result(*rows: Row, **changes: object) -> Report:
    whole = Report(
        created=datetime(2026, 1, 1, tzinfo=UTC),
        target="a test",
        model="some/model",
        model_digest="sha256:me",
        precision="int8",
        prompt_digest=None,
        debias=None,
        split="all",
        exams={"exam.jsonl": "sha256:exam"},
        duplicates=[],
        skipped=[],
        seconds=1.5,
        latency=Latency.of(rows, at_once=32),
        tokens=Usage(prompt_tokens=100, completion_tokens=0, cached_tokens=40),
        figures=Figures.of([each.outcome for each in rows]),
        compared=None,
        verdict=None,
        shards=1,
        unanswered=0,
        failures=[],
        rows=list(rows),
    )
    return whole.model_copy(update=changes)


class Page(HTMLParser):
    """The text and elements of a page; raises if elements are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


ROWS = [row(number, right=number < 3) for number in range(4)]


def test_the_figures_are_on_the_page() -> None:
    text = Page(render_page(result(*ROWS))).text
    for part in (
        "some/model",
        "75.0% (3 of 4; 95 %: 30.1% to 95.4%)",
        "0.000 in 15 bins of equal width",
        "12 ms at the median, 12 ms at the 95th percentile, up to 32 asked at once",
        "100 read, 40 of them from the prefix cache",
        "exam.jsonl",
        "sha256:exam",
        "sha256:me",
    ):
        assert part in text, part


def test_the_reliability_diagram_has_a_dot_where_confidence_meets_accuracy() -> None:
    dot, _ = Page(render_page(result(*ROWS))).all("circle")
    assert (dot["cx"], dot["cy"]) == ("75.00", "25.00")  # a confidence of 75 %, and 75 % from the bottom


def test_the_page_has_the_risk_coverage_curve_and_the_thresholds() -> None:
    many = [row(number, right=number < 90) for number in range(100)]
    page = Page(render_page(result(*many)))
    _, dot = page.all("circle")
    assert (dot["cx"], dot["cy"]) == ("100.00", "10.00")  # all questions are answered, and 90 % are right
    table = "".join(page.text.split())
    # The confidence is 75 % everywhere, so no question is left out.
    assert "70.0%0.0000100.0%90.0%(90of100;78.8%to96.5%)" in table
    assert "80.0%notshownbythesequestions" in table


def test_each_question_is_a_row_and_wrong_ones_are_marked() -> None:
    rows = Page(render_page(result(*ROWS))).all("tr")
    assert len([each for each in rows if each.get("class") == "wrong"]) == 1


def test_an_exam_without_subjects_has_no_section_of_subjects() -> None:
    with_subjects, without = (
        render_page(result(row(1, right=True, subject=name))) for name in ("logic", None)
    )
    assert 'id="subjects"' in with_subjects
    assert 'id="subjects"' not in without


def test_the_page_has_the_comparison_and_the_questions_left_out_or_unanswered() -> None:
    compared = Comparison(
        questions=4,
        unanswered=1,
        both_right=1,
        only_before=0,
        only_now=2,
        both_wrong=1,
        p_value=0.5,
        discordant=[],
    )
    html = render_page(
        result(
            *ROWS,
            compared=compared,
            skipped=["exam.jsonl:9: no"],
            failures=[Failure(id="q7", digest="7", detail="too long")],
        )
    )
    text = Page(html).text
    for part in (
        "on 4 questions, 1 of them without an answer now",
        "2 right only now",
        "p = 0.5",
        "exam.jsonl:9: no",
        "q7: too long",
    ):
        assert part in text, part


def test_a_long_page_has_the_first_questions_and_says_where_the_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(html_page, "MAX_ROWS", 2)
    page = Page(render_page(result(*(row(number, right=True) for number in range(3)))))
    assert "3 questions, the first 2 of them here, all in the report as JSON" in page.text
    assert ("q1" in page.text, "q2" in page.text) == (True, False)


def test_a_shortened_report_counts_what_it_leaves_out() -> None:
    failures = [Failure(id=f"q{number}", digest=str(number), detail="busy") for number in range(5)]
    whole = result(row(1, right=True), skipped=["a", "b", "c"], failures=failures, unanswered=5)
    short = whole.shortened(2)
    assert short.skipped == ["a", "b", "… and 1 more"]
    assert (len(short.failures), short.unanswered, len(whole.failures)) == (2, 5, 5)
    assert whole.shortened(5) == whole


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_the_texts_of_an_exam_are_escaped(text: str) -> None:
    html = render_page(result(row(1, right=True, subject=text), model=text, exams={text: text}))
    page = Page(html)
    assert page.all("script") == page.all("img") == []
    assert text in page.text


def test_the_page_loads_nothing() -> None:
    html = render_page(result(*ROWS))
    assert not re.search(r"\b(src|href)=|@import|url\(|https?://", html)
