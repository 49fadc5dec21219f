"""A calibration is found in a fixed order of places, and only where it is of this model and this prompt."""

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
from mcq_service.prompts import ANSWER_FIRST, ANSWER_FORMS


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
        "prompt_digest": ANSWER_FIRST.digest,
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
    """The product's own calibrations: a folder for this test."""
    folder = tmp_path / "package" / "calibrations"
    folder.mkdir(parents=True)
    monkeypatch.setattr("mcq_service.mcq.calibration_files.resources.files", lambda _: folder.parent)
    return folder


def test_what_is_saved_is_found_again(prepared: PreparedModel) -> None:
    write_calibration(stored(1.5), prepared.path / "calibration.json")
    assert calibration_for(prepared) == stored(1.5)
    assert [path.name for path in prepared.path.iterdir()] == ["calibration.json"]


def test_with_none_anywhere_scores_are_taken_as_they_are(prepared: PreparedModel, shipped: Path) -> None:
    assert calibration_for(prepared) == Calibration()


def test_the_file_that_is_named_comes_before_the_one_beside_the_model_and_that_before_a_shipped_one(
    prepared: PreparedModel, shipped: Path, tmp_path: Path
) -> None:
    write_calibration(stored(3), shipped / "some-model.json")
    assert temperature(calibration_for(prepared)) == 3
    write_calibration(stored(2), prepared.path / "calibration.json")
    assert temperature(calibration_for(prepared)) == 2
    write_calibration(stored(1), tmp_path / "named.json")
    assert temperature(calibration_for(prepared, explicit=tmp_path / "named.json")) == 1


def test_one_of_other_weights_is_not_used_though_they_have_the_same_address(
    prepared: PreparedModel, shipped: Path, tmp_path: Path
) -> None:
    """Not a shipped one, not one beside the model, and not one that is named; the same weights elsewhere are fine."""
    other = stored(2, model_digest="sha256:other")
    write_calibration(other, shipped / "1.json")
    write_calibration(other, prepared.path / "calibration.json")
    assert calibration_for(prepared) == Calibration()
    write_calibration(other, tmp_path / "named.json")
    with pytest.raises(CalibrationUnusable, match=r"sha256:other.*sha256:me.*calibrate` again"):
        calibration_for(prepared, explicit=tmp_path / "named.json")
    write_calibration(stored(3, model_uri="s3://elsewhere/model"), shipped / "2.json")
    assert temperature(calibration_for(prepared)) == 3


def test_another_servers_model_has_a_calibration_only_where_one_is_named(
    shipped: Path, tmp_path: Path
) -> None:
    """Nothing says which weights it has."""
    write_calibration(stored(2), shipped / "1.json")
    assert remote_calibration(None) == Calibration()
    write_calibration(stored(3), tmp_path / "named.json")
    assert temperature(remote_calibration(tmp_path / "named.json")) == 3


def test_of_shipped_ones_the_same_precision_comes_first(prepared: PreparedModel, shipped: Path) -> None:
    write_calibration(stored(3, precision="bfloat16"), shipped / "3.json")
    assert temperature(calibration_for(prepared)) == 3
    write_calibration(stored(4), shipped / "4.json")
    assert temperature(calibration_for(prepared)) == 4


def test_one_of_another_release_is_ignored_beside_the_model_and_refused_where_it_is_named(
    prepared: PreparedModel, shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its prompt is not there any more."""
    path = prepared.path / "calibration.json"
    text = stored(2).model_dump_json().replace(ANSWER_FIRST.digest, "sha256:older")
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert calibration_for(prepared) == Calibration()
    assert "sha256:older" in caplog.text
    with pytest.raises(CalibrationUnusable, match=r"no prompt sha256:older.*calibrate` again"):
        calibration_for(prepared, explicit=path)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("{", "JSON"), ("{}", "Field required")]
)
def test_a_named_file_that_can_not_be_read_says_why(
    prepared: PreparedModel, tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "named.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CalibrationUnusable, match=said) as caught:
        calibration_for(prepared, explicit=path)
    assert str(path) in str(caught.value)


def test_every_shipped_calibration_is_readable_and_of_a_prompt_that_there_is() -> None:
    folder = resources.files("mcq_service.model_store") / "calibrations"
    for path in folder.iterdir():
        assert StoredCalibration.model_validate_json(path.read_bytes()).form in ANSWER_FORMS.values()


def test_the_default_models_weights_have_a_shipped_calibration(prepared: PreparedModel) -> None:
    """Or a default start would take the scores as they are, without a word."""
    default = replace(prepared, digest=QWEN_CODER_GGUF.digest, precision="int8")
    assert 4 in calibration_for(default).choices
