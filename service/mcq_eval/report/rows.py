"""The questions of a result, and how to read those of an earlier result."""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from mcq_eval.errors import ResultUnreadable, one_line
from mcq_eval.evidence import read_verified
from mcq_eval.metrics.outcomes import Outcome, QuestionType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Row(BaseModel):
    """An answered question. `answer` is the correct label, `chosen` the most probable one.

    A label is a letter; of a predicate True or False, of a score a level. `digest` is of the question and its correct
    answer, so a corrected answer makes another question.
    """

    id: str
    digest: str
    subject: str | None
    labels: list[str]
    answer: str
    chosen: str
    probabilities: list[float]
    abstained: bool
    answer_ms: float
    type: QuestionType = "choice"

    @property
    def outcome(self) -> Outcome:
        """The row in the form of the metrics."""
        return Outcome(
            self.labels,
            self.probabilities,
            self.labels.index(self.answer),
            self.subject,
            self.abstained,
            self.type,
        )


class Failure(BaseModel):
    """An unanswered question, and the reason. It is left out of the figures, and is wrong for the verdict."""

    id: str
    digest: str
    detail: str


class _EarlierResult(BaseModel):
    """The rows of an earlier result, or of one shard of it. Earlier releases had fewer figures."""

    format: Literal[1] = 1
    rows: list[Row]


class _PartDigests(BaseModel):
    """The digests of a result's parts."""

    parts: list[str]


def read_rows(path: Path) -> list[Row]:
    """Read the questions of an earlier result. Raises ResultUnreadable."""
    return _read(path, path.read_bytes)


def read_stored_rows(folder: Path, digest: str) -> list[Row]:
    """Read the questions of all shards as a Job keeps them: a compressed file for each shard.

    `digest` is the one of result.json, which has the digests of the shards' files. Raises ResultUnreadable if a file
    was changed and has another digest.
    """
    path = folder / "result.json"
    try:
        parts = _PartDigests.model_validate_json(read_verified(path, digest)).parts
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValidationError as error:
        raise ResultUnreadable(f"{path} is not an exam's result: {one_line(error)}") from error
    files = [(folder / f"{shard}.json.gz", part) for shard, part in enumerate(parts)]
    return [row for path, part in files for row in _read(path, partial(_unpack, path, part))]


def _unpack(path: Path, digest: str) -> bytes:
    return gzip.decompress(read_verified(path, digest))


def _read(path: Path, read: Callable[[], bytes]) -> list[Row]:
    try:
        return _EarlierResult.model_validate_json(read()).rows
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    except ValidationError as error:
        raise ResultUnreadable(
            f"{path} is not a result that `evaluate --json` wrote: {one_line(error)}"
        ) from error


def _unreadable(path: Path, error: Exception) -> ResultUnreadable:
    reason = getattr(error, "strerror", None) or error  # without the path again
    return ResultUnreadable(f"{path} can't be read: {reason}.")
