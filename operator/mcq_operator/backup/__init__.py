"""Backs up the MCQSolvers, MCQExams and exam reports of a namespace to an object store, and restores them."""

from .commands import run
from .parsers import add_parsers

__all__ = ["add_parsers", "run"]
