"""Calibrations are searched in a fixed order, and must belong to this model and prompt."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from mcq_service.mcq.calibration import Calibration, FittedOn, StoredCalibration
from mcq_service.mcq.calibration_files import (
    CalibrationUnusable,
    calibration_for,
    remote_calibration,
    write_calibration,
)
from mcq_service.model_store import PreparedModel
from mcq_service.model_store.catalogue import QWEN_CODER_GGUF
from mcq_service.prompts import CHATML


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedModel:
    directory = tmp_path / "model"
    directory.mkdir()
    return PreparedModel(
        path=directory, uri="hf://some/model", revision="1", digest="sha256:me", precision="float32"
    )


def temperature(calibration: Calibration) -> float:
    return calibration.choices[4].temperature


def stored(temperature: float, **other: str) -> StoredCalibration:
    about = {
        "model_uri": "hf://some/model",
        "model_digest": "sha256:me",
        "prompt_digest": CHATML.answer_first.digest,
    }
    return StoredCalibration.model_validate(
        {
            "choices": {4: {"prior": {"A": 0.25, "B": 0.75}, "temperature": temperature}},
            "precision": "float32",
            **about,
            "fitted_on": FittedOn(exams={"exam.jsonl": "sha256:0"}, questions=30),
            "created": datetime(2026, 1, 2, tzinfo=UTC),
            **other,
        }
    )


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the product's own calibrations for this test."""
    folder = tmp_path / "package" / "calibrations"
    folder.mkdir(parents=True)
    monkeypatch.setattr("mcq_service.mcq.calibration_files.resources.files", lambda _: folder.parent)
    return folder


def test_a_written_calibration_is_found(prepared: PreparedModel) -> None:
    write_calibration(stored(1.5), prepared.path / "calibration.json")
    assert calibration_for(prepared, CHATML) == stored(1.5)
    assert [path.name for path in prepared.path.iterdir()] == ["calibration.json"]


def test_without_a_file_nothing_is_calibrated(prepared: PreparedModel, shipped: Path) -> None:
    assert calibration_for(prepared, CHATML) == Calibration()


def test_the_named_file_comes_first_then_the_one_beside_the_model_then_a_shipped_one(
    prepared: PreparedModel, shipped: Path, tmp_path: Path
) -> None:
    write_calibration(stored(3), shipped / "some-model.json")
    assert temperature(calibration_for(prepared, CHATML)) == 3
    write_calibration(stored(2), prepared.path / "calibration.json")
    assert temperature(calibration_for(prepared, CHATML)) == 2
    write_calibration(stored(1), tmp_path / "named.json")
    assert temperature(calibration_for(prepared, CHATML, explicit=tmp_path / "named.json")) == 1


def test_a_calibration_of_other_weights_at_the_same_address_is_not_used(
    prepared: PreparedModel, shipped: Path, tmp_path: Path
) -> None:
    """This applies to a shipped file, one beside the model and a named one; equal weights elsewhere are fine."""
    other = stored(2, model_digest="sha256:other")
    write_calibration(other, shipped / "1.json")
    write_calibration(other, prepared.path / "calibration.json")
    assert calibration_for(prepared, CHATML) == Calibration()
    write_calibration(other, tmp_path / "named.json")
    with pytest.raises(CalibrationUnusable, match=r"sha256:other.*sha256:me.*calibrate` again"):
        calibration_for(prepared, CHATML, explicit=tmp_path / "named.json")
    write_calibration(stored(3, model_uri="s3://elsewhere/model"), shipped / "2.json")
    assert temperature(calibration_for(prepared, CHATML)) == 3


def test_another_servers_model_has_only_a_named_calibration(shipped: Path, tmp_path: Path) -> None:
    """The server does not say which weights it has."""
    write_calibration(stored(2), shipped / "1.json")
    assert remote_calibration(None) == Calibration()
    write_calibration(stored(3), tmp_path / "named.json")
    assert temperature(remote_calibration(tmp_path / "named.json")) == 3


def test_a_shipped_calibration_of_the_same_precision_comes_first(
    prepared: PreparedModel, shipped: Path
) -> None:
    write_calibration(stored(3, precision="bfloat16"), shipped / "3.json")
    assert temperature(calibration_for(prepared, CHATML)) == 3
    write_calibration(stored(4), shipped / "4.json")
    assert temperature(calibration_for(prepared, CHATML)) == 4


def test_a_file_of_another_release_is_ignored_beside_the_model_and_refused_if_named(
    prepared: PreparedModel, shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """This release does not have the calibration's prompt."""
    path = prepared.path / "calibration.json"
    text = stored(2).model_dump_json().replace(CHATML.answer_first.digest, "sha256:older")
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert calibration_for(prepared, CHATML) == Calibration()
    assert "sha256:older" in caplog.text
    with pytest.raises(CalibrationUnusable, match=r"it has no prompt sha256:older.*calibrate` again"):
        calibration_for(prepared, CHATML, explicit=path)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), ("{", "JSON"), ("{}", "Field required")]
)
def test_an_unreadable_named_file_is_an_error_with_the_reason(
    prepared: PreparedModel, tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "named.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CalibrationUnusable, match=reason) as caught:
        calibration_for(prepared, CHATML, explicit=path)
    assert str(path) in str(caught.value)


def test_every_shipped_calibration_is_readable_and_has_a_known_prompt() -> None:
    folder = resources.files("mcq_service.model_store") / "calibrations"
    for path in folder.iterdir():
        stored = StoredCalibration.model_validate_json(path.read_bytes())
        assert CHATML.answer_form(stored.prompt_digest)


def test_the_default_models_weights_have_a_shipped_calibration(prepared: PreparedModel) -> None:
    """Without it a default start would silently be uncalibrated."""
    default = replace(prepared, digest=QWEN_CODER_GGUF.digest, precision="int8")
    assert 4 in calibration_for(default, CHATML).choices
