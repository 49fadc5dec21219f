"""The errors of exams.

ExamError
├── ExamUnreadable        a file of questions can't be read; the message names file and line
├── ExamUnavailable       a file of questions can't be fetched now
├── AskingFailed          the service, or the model in this process, can't be asked
├── TooManyQuestions      the answers do not fit into the ConfigMaps
├── ModelChanged          not all questions were answered by the same model and prompt
├── ResultsNotStored      a result can't be written to its ConfigMap
├── ResultUnreadable      a result to compare with can't be read, or has no question in common
└── NothingToFit          there are too few questions to fit a calibration
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError


class ExamError(Exception):
    """An exam failed; the message says what to do. `exit_code` is the exit code of the command."""

    exit_code: ClassVar[int] = 1


class ExamUnreadable(ExamError):
    """A file of questions can't be read."""

    exit_code = 2


class ResultUnreadable(ExamError):
    """An earlier result can't be used for a comparison."""

    exit_code = 2


class NothingToFit(ExamError):
    """There are too few questions to fit a calibration."""

    exit_code = 2


class ExamUnavailable(ExamError):
    """A file of questions can't be fetched now; a later try may succeed."""

    exit_code = 3


class AskingFailed(ExamError):
    """The service, or the model in this process, can't be asked."""

    exit_code = 3


class TooManyQuestions(ExamError):
    """The answers do not fit into the ConfigMaps."""

    exit_code = 2


class ModelChanged(ExamError):
    """The model or prompt changed during the exam, so the result would belong to neither."""

    exit_code = 3


class ResultsNotStored(ExamError):
    """The ConfigMap of results can't be read or written."""

    exit_code = 3


def one_line(error: ValidationError) -> str:
    """Return where the first error is, what is wrong there, and how many more there are."""
    first, *more = error.errors()
    path = first["loc"][1:] if first["loc"][:1] == ("question",) and len(first["loc"]) > 1 else first["loc"]
    where = ".".join(str(step) for step in path if step not in {"list", "map", "str", "int"})
    rest = f" (and {len(more)} more)" if more else ""
    return f"{where}: {first['msg']}{rest}" if where else f"{first['msg']}{rest}"
