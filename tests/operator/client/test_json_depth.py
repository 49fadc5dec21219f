"""Deep JSON is decoded without its deepest values; other JSON is unchanged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcq_operator.client import json_depth
from mcq_operator.client.json_depth import DEEPEST, decode, decode_shallow, shallow

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='{}[]"\\n, é'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='{["\\'), inner, max_size=3),
    max_leaves=30,
)


def nested(levels: int, core: str = "1") -> str:
    return '{"a":' * levels + core + "}" * levels


def cut(value: Any, levels: int) -> Any:
    """Return the value with None in place of containers below these levels."""
    if isinstance(value, dict):
        return {key: cut(item, levels - 1) for key, item in value.items()} if levels else None
    if isinstance(value, list):
        return [cut(item, levels - 1) for item in value] if levels else None
    return value


@given(VALUES, st.integers(0, 5), st.booleans())
def test_containers_below_the_deepest_level_become_null(value: Any, deepest: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_depth, "DEEPEST", deepest)
        assert json.loads(shallow(text)) == cut(value, deepest)


def test_a_deep_value_keeps_its_neighbours() -> None:
    text = f'{{"before":1,"deep":{nested(9_000)},"after":[2]}}'.encode()
    decoded = decode_shallow(text)
    assert (decoded["before"], decoded["after"]) == (1, [2])
    assert decode(text) == decoded


def test_json_within_the_limit_is_unchanged() -> None:
    text = f"[{nested(DEEPEST - 1)},{nested(DEEPEST - 1)}]".encode()
    assert shallow(text) == text
