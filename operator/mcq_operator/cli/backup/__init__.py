"""Backs up the MCQSolvers, MCQExams and exam reports of a namespace to an object store, and restores them."""

from .arguments import add_parsers
from .commands import run

__all__ = ["add_parsers", "run"]
