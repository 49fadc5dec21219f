"""Reasoning and answers as YAML: writing, streaming and strict reading."""

import random
from string import ascii_uppercase

import pytest

from mcq_service.yaml_output import Line, document, parse
from mcq_service.yaml_output.document import UnparsableOutput

ALPHABET = [
    *'abc XYZ 012 :-#&*!|>%@`{}[],?',
    *'"\\\'\n\r\t\x00\x07\x1b\x7f\x85\u2028\u2029\ufeff\u200b',
    *"äßéπ∑字あ🙂",
    "\\frac{1}{2}", "\\n", "\\u0041", "\\\\", '\\"', ": ", " #", "---\n", "...", "<|im_end|>",
    "!!python/name:os.system",
]  # fmt: skip


def pieces_of(text: str, chance: random.Random) -> list[str]:
    cuts = sorted(chance.choices(range(len(text) + 1), k=5))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def read(*pieces: str) -> Line:
    line = Line()
    for piece in pieces:
        line.feed(piece)
    return line


@pytest.mark.parametrize("seed", range(300))
def test_any_model_output_reads_back_as_the_same_line(seed: int) -> None:
    """Quotes, backslashes, control characters, LaTeX and any script survive the YAML document."""
    chance = random.Random(seed)
    written = "".join(chance.choices(ALPHABET, k=chance.randint(0, 60)))
    text = read(*pieces_of(written, chance)).text
    label = chance.choice(ascii_uppercase)
    yaml_text = document(label, text)
    assert parse(yaml_text, list(ascii_uppercase)) == text
    assert yaml_text.count("\n") == 2
    assert len(text.splitlines()) <= 1
    assert text == text.strip()


@pytest.mark.parametrize("seed", range(50))
def test_the_split_into_tokens_does_not_matter(seed: int) -> None:
    """A line fed in pieces equals the line fed whole."""
    chance = random.Random(seed)
    written = "".join(chance.choices(ALPHABET, k=40))
    assert read(*pieces_of(written, chance)).text == read(written).text


@pytest.mark.parametrize(
    ("written", "text", "closed"),
    [
        ('It is so." and more', "It is so.", True),
        ("It is so.\nanswer: B", "It is so.", True),
        ('He said \\"yes\\".', 'He said "yes".', False),
        ("\\frac{1}{2} and C:\\new", "\\frac{1}{2} and C:\\new", False),
        ("a\\\\b", "a\\b", False),
        ("ends in \\", "ends in \\", False),
        ('The "yield" keyword makes it so."', 'The "yield" keyword makes it so.', True),
        ('no full stop"\n', "no full stop", True),
        ('यह सही है।" और', "यह सही है।", True),
        ('هل هذا صحيح؟" نعم', "هل هذا صحيح؟", True),
        ("a  b\t c\x00\x07", "a b c", False),
        ("", "", False),
    ],
)
def test_a_line_ends_at_its_quote_or_break(written: str, text: str, closed: bool) -> None:
    """Escapes of quotes and backslashes are resolved; others stay."""
    line = read(written)
    assert (line.text, line.closed) == (text, closed)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["It is", ' so."\n'], ["It is", " so."]),
        (["no end"], ["no end"]),
        (["one\nanswer: B", "more"], ["one", ""]),
        (['He said "yes', '" twice.', '"'], ['He said "yes', '" twice.', ""]),
    ],
)
def test_a_line_returns_its_own_part_of_a_piece(pieces: list[str], expected: list[str]) -> None:
    """The closing characters are not part of it, because they may be forced instead."""
    line = Line()
    assert [line.feed(piece) for piece in pieces] == expected


def test_settled_text_is_never_taken_back() -> None:
    """A stream that shows it only grows, even while a quote or a backslash is open."""
    text, line, shown = 'The \\"x\\" is \\\\ and "y" so.', Line(), ""
    for character in text:
        line.feed(character)
        assert line.settled.startswith(shown)
        shown = line.settled
    assert line.text == shown == 'The "x" is \\ and "y" so.'


def test_a_duplicate_key_is_refused() -> None:
    """YAML forbids it, because the intended answer would be ambiguous."""
    with pytest.raises(UnparsableOutput):
        parse("answer: A\nanswer: B\n", "AB")


@pytest.mark.parametrize("label", list(ascii_uppercase))
def test_every_letter_reads_back_as_a_letter(label: str) -> None:
    """N and Y are no booleans."""
    assert parse(document(label, None), [label]) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "B", "- B", "answer: [B]", "answer: {B: 1}", "answer: 2", "answer: C", "answer: b", "answer:",
        "reasoning: only", 'answer: "B"\nextra: 1', 'answer: "B"\nreasoning: [1]', 'answer: "B', "answer: B: C",
        'answer: "B"\n---\nanswer: "B"', "answer: *B", "\x00", '? [answer]\n: "B"',
        "answer: !!python/name:os.system B", "answer: !!python/object/apply:os.system [ls]",
        "answer: 2001-99-99", "answer: !!int ''", "answer: !!bool x", "answer: " + "1" * 5000, "[" * 10_000,
        'answer: "B"\nreasoning: "' + "x" * 20_000 + '"',
    ],
)  # fmt: skip
def test_anything_but_the_document_is_refused(text: str) -> None:
    """The check is strict: the keys, an offered letter, one line of text, a bounded length."""
    with pytest.raises(UnparsableOutput):
        parse(text, ["A", "B"])
