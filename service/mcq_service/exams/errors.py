"""What can go wrong with an exam, and what to do about it.

ExamError
├── ExamUnreadable        a file of questions can't be read; the message names file and line
├── ExamUnavailable       a file of questions can't be fetched now
├── AskingFailed          the service, or the model in this process, could not be asked
├── TooManyQuestions      there is no room to keep the answers to so many questions
├── ModelChanged          not all questions were answered by the same model and prompt
├── ResultsNotKept        a result could not be written to its ConfigMap
├── ResultUnreadable      a result to compare with can't be read, or has no question in common
└── NothingToFit          there are too few questions to fit a calibration
"""

from typing import ClassVar


class ExamError(Exception):
    """An exam could not be held; the message says what to do. `exit_code` is the command line's."""

    exit_code: ClassVar[int] = 1


class ExamUnreadable(ExamError):  # noqa: N818 - names read as what happened, as in the tree above
    """A file of questions can't be read."""

    exit_code = 2


class ResultUnreadable(ExamError):  # noqa: N818
    """An earlier result can't be compared with."""

    exit_code = 2


class NothingToFit(ExamError):  # noqa: N818
    """There are too few questions."""

    exit_code = 2


class ExamUnavailable(ExamError):  # noqa: N818
    """A file of questions can't be fetched now; later it may."""

    exit_code = 3


class AskingFailed(ExamError):  # noqa: N818
    """Who answers could not be asked."""

    exit_code = 3


class TooManyQuestions(ExamError):  # noqa: N818
    """The answers would have no room where they are kept."""

    exit_code = 2


class ModelChanged(ExamError):  # noqa: N818
    """Who answers was replaced while it was asked: the result would be of neither."""

    exit_code = 3


class ResultsNotKept(ExamError):  # noqa: N818
    """The ConfigMap of results could not be read or written."""

    exit_code = 3
