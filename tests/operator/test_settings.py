"""The operator's settings come from its environment."""

import json
import logging

import pytest
from pydantic import ValidationError

from mcq_operator.settings import Settings
from mcq_operator.telemetry import JsonFormatter


@pytest.mark.parametrize(("text", "namespaces"), [("", ()), ("a", ("a",)), ("a, b,", ("a", "b"))])
def test_namespaces_are_separated_by_commas_and_none_means_all(
    monkeypatch: pytest.MonkeyPatch, text: str, namespaces: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MCQ_OPERATOR_NAMESPACES", text)
    assert Settings().namespaces == namespaces


def test_a_senseless_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCQ_OPERATOR_WORKERS", "0")
    with pytest.raises(ValidationError, match="workers"):
        Settings()


def test_a_log_line_is_one_json_object_with_what_the_record_was_given() -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "two\nlines %s", "args": ("é",)})
    record.solver = "team/demo"
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == "two\nlines é"
    assert found["solver"] == "team/demo"
    assert found["level"] == "info"
