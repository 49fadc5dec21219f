"""The MCQSolvers, MCQExams and exam reports of a namespace, kept in an object store and brought back from it."""

from .commands import run
from .parsers import add_parsers

__all__ = ["add_parsers", "run"]
