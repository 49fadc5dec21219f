"""Find, read and write calibrations: a named file, one beside the prepared model, or a shipped one."""

from __future__ import annotations

import logging
from importlib import resources
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mcq_service.mcq.calibration import Calibration, StoredCalibration
from mcq_service.prompts import CHATML

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from mcq_service.model_store import PreparedModel
    from mcq_service.prompts import Forms

FILE_NAME = "calibration.json"
_RUN_AGAIN = "Run `python -m mcq_service calibrate` again."

logger = logging.getLogger(__name__)


class CalibrationUnusable(Exception):
    """The named file can't be read, or belongs to another model; the message says which."""


def calibration_for(prepared: PreparedModel, forms: Forms, *, explicit: Path | None = None) -> Calibration:
    """Return the model's calibration: the named file, else the one beside the model, else a shipped one, else none.

    Each must belong to exactly these weights and to one of the model's forms. A shipped one for the same precision
    comes first. One for another precision also applies, because the model prefers the same letters. Raises
    CalibrationUnusable for the named file only.
    """
    if explicit is not None:
        return _read_for(explicit, prepared, forms)
    beside = prepared.path / FILE_NAME
    if beside.is_file():
        try:
            return _read_for(beside, prepared, forms)
        except CalibrationUnusable as error:
            logger.warning("Ignoring a calibration: %s", error)
    return max(
        _shipped_for(prepared, forms),
        key=lambda each: each.precision == prepared.precision,
        default=Calibration(),
    )


def remote_calibration(explicit: Path | None) -> Calibration:
    """Return the calibration of a model on another server: the named file, else none.

    The server does not say which weights it has, so the file is trusted to belong to them. Raises CalibrationUnusable.
    """
    return Calibration() if explicit is None else _checked(_read(explicit), explicit, CHATML)


def write_calibration(calibration: StoredCalibration, path: Path) -> None:
    """Write the calibration, replacing the file in one step. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(calibration.model_dump_json(indent=2) + "\n")
    partial.replace(path)


def _read_for(path: Path, prepared: PreparedModel, forms: Forms) -> StoredCalibration:
    stored = _read(path)
    if stored.model_digest != prepared.digest:
        raise CalibrationUnusable(
            f"{path} was fitted for {stored.model_uri} ({stored.model_digest}); this is {prepared.uri} "
            f"({prepared.digest}). {_RUN_AGAIN}"
        )
    return _checked(stored, path, forms)


def _read(path: Path | Traversable) -> StoredCalibration:
    try:
        return StoredCalibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CalibrationUnusable(f"{path} can't be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CalibrationUnusable(
            f"{path} is not a calibration of this release: {where}: {first['msg']}. {_RUN_AGAIN}"
        ) from error


def _checked(stored: StoredCalibration, path: Path | Traversable, forms: Forms) -> StoredCalibration:
    """Return the calibration if the model has its prompt. Raises CalibrationUnusable."""
    try:
        forms.answer_form(stored.prompt_digest)
    except KeyError:
        raise CalibrationUnusable(
            f"{path} is not a calibration of this release: for this model it has no prompt {stored.prompt_digest}. "
            f"{_RUN_AGAIN}"
        ) from None
    return stored


def _shipped_for(model: PreparedModel, forms: Forms) -> Iterator[StoredCalibration]:
    """Yield the shipped calibrations of these weights."""
    folder = resources.files("mcq_service.model_store") / "calibrations"
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".json") and (stored := _read(path)).model_digest == model.digest:
            yield _checked(stored, path, forms)
