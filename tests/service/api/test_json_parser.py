"""The JSON parser reads valid bodies and explains the others."""

import json
import time
from typing import Any

import pytest

from mcq_service.api.http.json_parser import MAX_DEPTH, MAX_KEYS, MAX_VALUES, parse
from mcq_service.api.problems import InvalidQuestion, MalformedBody


@pytest.mark.parametrize(
    "value", [{"a": [1, -1.5e3, True, None, "x", {"é": '🙂\n\\"'}], "b": {}}, [], "a", 0]
)
def test_a_value_is_read_as_written(value: Any) -> None:
    """Values may be escaped, and the body may have a byte order mark."""
    for escaped in (True, False):
        text = json.dumps(value, ensure_ascii=escaped).encode()
        assert parse(text) == parse(b"\xef\xbb\xbf" + text) == value


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "/a"),
        ('{"a": [{}, {"b": [0], "c": {"d": 1, "d": {"e": 1, "e": 1}}}]}', "/a/1/c/d"),
        ('[[1, 2], {"x": "}],:\\"", "a/b~": 1, "a/b~": [1]}]', "/1/a~1b~0"),
        ('{"a"\n:\n1,\n"a"\n:\n1}', "/a"),
        ('{"\\u0061": 1, "a" : }', "/a"),
        ('{"a": 1, "a":', "/a"),
        ('{"": 1, "": 2}', "/"),
        ('{"a at line 3 column 4": 1, "a at line 3 column 4": 2}', "/a at line 3 column 4"),
    ],
)
def test_a_duplicate_key_is_pointed_at(text: str, pointer: str) -> None:
    """The pointer names the first one, wherever it is and however it is written."""
    with pytest.raises(InvalidQuestion, match="occurs twice") as caught:
        parse(text.encode())
    assert [each.pointer for each in caught.value.errors or []] == [pointer]


def test_a_duplicate_key_among_many_is_found_quickly() -> None:
    """Comparing all pairs of keys would take an hour."""
    keys = ",".join(f'"{number}":1' for number in range(MAX_VALUES - 2))
    started = time.monotonic()
    with pytest.raises(InvalidQuestion, match=f"{MAX_VALUES - 3}: occurs twice"):
        parse(f'{{{keys},"{MAX_VALUES - 3}":1}}'.encode())
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (r'{"a": ["x", "\ud83d"]}', "/a/1"),
        (r'{"a": ["x"], "b": {"c": 1, "\udc00 x": 1}}', "/b"),
        (r'{"a": ["\"\\", "\ud83d\u0041"]}', "/a/1"),
        (r'{"a": "\ud83d\ude00 \udfff tail", "b": "\udfff"}', "/a"),
        (r'"\ud83d\n"', ""),
    ],
)
def test_a_lone_surrogate_is_pointed_at(text: str, pointer: str) -> None:
    """A value has its own pointer; a key has the pointer of its map."""
    with pytest.raises(InvalidQuestion, match="a lone surrogate") as caught:
        parse(text.encode())
    assert [each.pointer for each in caught.value.errors or []] == [pointer]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "EOF while parsing a value: line 1, column 0."),
        ('{"a":\n  tru}', "Expected ident: line 2, column 6."),
        ('["é", x]', "Expected value: line 1, column 7."),
        ("{'a': 1}", "Key must be a string: line 1, column 2."),
        ('{"a": 1,}', "Trailing comma: line 1, column 9."),
        ("{} {}", "Trailing characters: line 1, column 4."),
        ('["\\u12"]', "Invalid escape: line 1, column 7."),
        ("[NaN]", "JSON has no number NaN."),
        ('{"a": Infinity}', "JSON has no number Infinity."),
        ('{"a": -Infinity}', "JSON has no number -Infinity."),
        ("9" * 5000, "A number has too many digits."),
    ],
)
def test_broken_json_is_located(text: str, detail: str) -> None:
    """The location is a line and a character."""
    with pytest.raises(MalformedBody) as caught:
        parse(text.encode())
    assert caught.value.detail.endswith(detail)


@pytest.mark.parametrize(
    ("largest", "more"),
    [
        ([0] * MAX_VALUES, [0] * (MAX_VALUES + 1)),
        ([[]] * (MAX_VALUES // 2), [[]] * (MAX_VALUES // 2 + 1)),
        (dict.fromkeys(map(str, range(MAX_KEYS)), 0), dict.fromkeys(map(str, range(MAX_KEYS + 1)), 0)),
        ([{"a": 0}] * (MAX_VALUES // 2), [{"a": 0}] * (MAX_VALUES // 2 + 1)),
        (["[{,"] * (MAX_VALUES // 3), [["[{,"] * (MAX_VALUES // 3)] * 4),
    ],
)  # fmt: skip
def test_values_and_keys_are_bounded(largest: Any, more: Any) -> None:
    """Text inside a string does not count."""
    assert parse(json.dumps(largest).encode()) == largest
    with pytest.raises(MalformedBody, match="may have at most"):
        parse(json.dumps(more).encode())


def test_depth_is_bounded() -> None:
    """The bound is far below the stack of any parser."""
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 100, 100_000):
        with pytest.raises(MalformedBody, match="nested 32 deep"):
            parse(b'{"a":' * depth + b"1" + b"}" * depth)
