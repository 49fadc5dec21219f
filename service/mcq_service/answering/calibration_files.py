"""Where calibrations are kept: a named file, one beside the prepared model, those that come with the product."""

from __future__ import annotations

import logging
from importlib import resources
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mcq_service.answering.calibration import Calibration, StoredCalibration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from mcq_service.model_store import PreparedModel

NAME = "calibration.json"
_AGAIN = "Run `python -m mcq_service calibrate` again."

logger = logging.getLogger(__name__)


class CalibrationUnusable(Exception):  # noqa: N818 - says what it is
    """The file that was named can't be read, or is of another model; the message says which."""


def calibration_for(prepared: PreparedModel, *, explicit: Path | None = None) -> Calibration:
    """What is known of this model's scores: by the file named, else the one beside it, else a shipped one, else none.

    Each is of these very weights. Of several shipped ones that of this precision comes first; another precision of the
    same weights stands in, as it prefers the same letters. Raises CalibrationUnusable for the named file only.
    """
    if explicit is not None:
        return _named(explicit, prepared)
    beside = prepared.path / NAME
    if beside.is_file():
        try:
            return _named(beside, prepared)
        except CalibrationUnusable as error:
            logger.warning("A calibration is ignored: %s", error)
    return max(
        _fitting(prepared), key=lambda each: each.precision == prepared.precision, default=Calibration()
    )


def calibration_of_remote(explicit: Path | None) -> Calibration:
    """What is known of the scores of a model that another server has: nothing says of which weights it is.

    So only a file that is named is used, and believed to be of it. Raises CalibrationUnusable.
    """
    return Calibration() if explicit is None else _read(explicit)


def save(calibration: StoredCalibration, path: Path) -> None:
    """Write it in one step. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(calibration.model_dump_json(indent=2) + "\n")
    partial.replace(path)


def _named(path: Path, prepared: PreparedModel) -> StoredCalibration:
    stored = _read(path)
    if not _is_of(stored, prepared):
        raise CalibrationUnusable(
            f"{path} was fitted for {stored.model_uri} ({stored.model_digest}); this is {prepared.uri} "  # noqa: EM102
            f"({prepared.digest}). {_AGAIN}"
        )
    return stored


def _read(path: Path | Traversable) -> StoredCalibration:
    try:
        return StoredCalibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CalibrationUnusable(f"{path} can't be read: {error.strerror}.") from error  # noqa: EM102
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CalibrationUnusable(
            f"{path} is no calibration of this release: {where}: {first['msg']}. {_AGAIN}"  # noqa: EM102
        ) from error


def _fitting(model: PreparedModel) -> Iterator[StoredCalibration]:
    """The shipped ones that are of these weights."""
    folder = resources.files("mcq_service.model_store") / "calibrations"
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".json") and _is_of(stored := _read(path), model):
            yield stored


def _is_of(stored: StoredCalibration, model: PreparedModel) -> bool:
    return stored.model_digest == model.digest
