"""The operator's settings come from its environment."""

import json
import logging

import pytest
from pydantic import ValidationError

from mcq_operator.manager.json_logging import JsonFormatter
from mcq_operator.settings import Settings


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


@pytest.mark.parametrize(("name", "value"), [("DURATION", "10"), ("RENEW_DEADLINE", "15"), ("RETRY", "11")])
def test_a_lease_that_would_end_before_it_is_renewed_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """By default the times are client-go's."""
    defaults = Settings()
    assert (
        defaults.lease_duration_seconds,
        defaults.lease_renew_deadline_seconds,
        defaults.lease_retry_seconds,
    ) == (15, 10, 2)
    monkeypatch.setenv(f"MCQ_OPERATOR_LEASE_{name}_SECONDS", value)
    with pytest.raises(ValidationError, match="lease_renew_deadline_seconds > lease_retry_seconds"):
        Settings()


def test_a_log_line_is_one_json_object_with_the_records_fields() -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "two\nlines %s", "args": ("é",)})
    record.solver = "team/demo"
    line = JsonFormatter().format(record)
    assert "\n" not in line
    actual = json.loads(line)
    assert actual["message"] == "two\nlines é"
    assert actual["solver"] == "team/demo"
    assert actual["level"] == "info"
