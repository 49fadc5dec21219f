"""The command line: `calibrate` fits a model's calibration, `evaluate` says how right a model or a service is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mcq_service.exams.questions import SPLITS
from mcq_service.protocol import Debias

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.settings import Settings

KEY = "MCQ_API_KEY"
_EXAM = "JSON lines with id, subject, question, choices and answer"


def add_parsers(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], settings: Callable[[], Settings]
) -> None:
    """Add the two subcommands; their parsers set `func`: from arguments to exit code. `settings` reads MCQ_*."""
    calibrate = subparsers.add_parser(
        "calibrate",
        help="fit the model's letter prior and temperature to an exam",
        description="Fit a calibration on the calibration half of the questions, and say what it does to questions "
        "it was not fitted on. The model and the engine are configured by MCQ_* variables, as for serve.",
    )
    _add_exam(calibrate)
    calibrate.add_argument(
        "--output", type=Path, metavar="FILE", help="default: calibration.json beside the prepared model"
    )
    calibrate.set_defaults(func=lambda arguments: _run("calibrate", arguments, settings))

    evaluate = subparsers.add_parser(
        "evaluate",
        help="accuracy, calibration and selection bias on an exam",
        description="Answer questions whose answers are known, with the model in this process (configured by MCQ_* "
        f"variables, as for serve) or with a running service (its key, if it wants one, in {KEY}).",
    )
    _add_exam(evaluate)
    evaluate.add_argument("--split", choices=SPLITS, default="evaluation", help="default: %(default)s")
    evaluate.add_argument(
        "--debias", choices=get_args(Debias), help="default: the service's, prior unless configured"
    )
    evaluate.add_argument("--min-confidence", type=float, metavar="P", help="abstain below it")
    evaluate.add_argument(
        "--json", metavar="FILE", help="write the result, with every question; -: to the output"
    )
    evaluate.add_argument("--url", help="ask this service: http://…")
    evaluate.add_argument(
        "--paired", type=Path, metavar="FILE", help="compare with an earlier JSON result (exact McNemar test)"
    )
    evaluate.set_defaults(func=lambda arguments: _run("evaluate", arguments, settings))


def _add_exam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exams", nargs="+", type=Path, metavar="EXAM.jsonl", help=_EXAM)
    parser.add_argument("--limit", type=_positive, metavar="N", help="take N questions, always the same")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _run(command: str, arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    # Imported here: it takes seconds, which the other commands need not wait.
    from mcq_service.exams import running

    return running.run(command, arguments, settings)
