"""The command line: `calibrate` fits a model's calibration, `evaluate` says how right a model or a service is.

`exam import` makes exams of published ones, `exam sit` is what the operator's Jobs run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mcq_service.api.mcq.schemas import Debias
from mcq_service.exams.errors import ExamError
from mcq_service.exams.importing import FORMATS, imported
from mcq_service.exams.questions import SPLITS
from mcq_service.model_store.progress_display import report_error as failed
from mcq_service.runtime.terminal import printable as plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.runtime.settings import Settings

KEY = "MCQ_API_KEY"
_EXAM = "JSON lines with id, subject, question, choices and answer"


def add_parsers(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], settings: Callable[[], Settings]
) -> None:
    """Add the subcommands; their parsers set `func`: from arguments to exit code. `settings` reads MCQ_*."""
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
    evaluate.add_argument("--html", type=Path, metavar="FILE", help="write the result as a page with plots")
    evaluate.add_argument("--url", help="ask this service: http://…")
    evaluate.add_argument(
        "--paired", type=Path, metavar="FILE", help="compare with an earlier JSON result (exact McNemar test)"
    )
    limits = evaluate.add_argument_group(
        "limits", "P from 0 to 1; where one is missed, or can't be told of yet, the exit code is 4"
    )
    limits.add_argument("--max-regression", type=_ratio, metavar="P", help="of the result given to --paired")
    _add_limits(limits)
    evaluate.set_defaults(func=lambda arguments: _run("evaluate", arguments, settings))

    exam = subparsers.add_parser(
        "exam", help="make exams of published ones, and sit them in a Job of Kubernetes"
    )
    commands = exam.add_subparsers(metavar="COMMAND", required=True)
    importing = commands.add_parser(
        "import",
        help="rewrite a published exam",
        description=f"Rewrite files of a published exam as {_EXAM}. What can't be asked is left out, and said.",
    )
    importing.add_argument("format", choices=FORMATS, help="whose format the files have")
    importing.add_argument("files", nargs="+", type=Path, metavar="FILE")
    importing.add_argument("--output", type=Path, metavar="EXAM.jsonl", help="default: the standard output")
    importing.set_defaults(func=_import)
    _add_sit(commands)


def _add_exam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exams", nargs="+", type=Path, metavar="EXAM.jsonl", help=_EXAM)
    parser.add_argument("--limit", type=_positive, metavar="N", help="take N questions, always the same")


def _add_limits(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--min-accuracy", type=_ratio, metavar="P")
    parser.add_argument("--max-calibration-error", type=_ratio, metavar="P")
    parser.add_argument("--max-p95-seconds", type=float, metavar="S", help="for 95 %% of the answers")


def _add_sit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sit = commands.add_parser(
        "sit",
        help="ask a solver one shard of an exam, in a Pod",
        description="Ask one of several equal shares of an exam's questions and keep the answers in ConfigMaps of the"
        f" Pod's namespace; the last to do so makes the report of all. A key of the solver is taken from {KEY}.",
    )
    sit.add_argument("--questions", required=True, metavar="PATH|URL", help="http(s):// and s3:// too")
    sit.add_argument("--digest", metavar="sha256:…", help="what the questions must be")
    sit.add_argument("--url", required=True, help="the solver: http://…")
    sit.add_argument(
        "--results", required=True, metavar="NAME", help="the ConfigMap; NAME-I: that of a shard"
    )
    sit.add_argument(
        "--sitting", required=True, metavar="NAME", help="under which its keys are: the Job's name"
    )
    sit.add_argument(
        "--run",
        required=True,
        metavar="ID",
        help="of one Job of that name: answers of another one do not count",
    )
    sit.add_argument("--shard", type=int, required=True, metavar="I", help="from 0")
    sit.add_argument("--shards", type=_positive, required=True, metavar="N")
    sit.add_argument("--history", type=_positive, default=3, metavar="N", help="reports that are kept")
    sit.add_argument("--debias", choices=get_args(Debias), help="default: the solver's")
    sit.add_argument(
        "--before", type=Path, metavar="FOLDER", help="an earlier result to compare with: a folder of shards"
    )
    sit.add_argument("--before-digest", metavar="sha256:…", help="what its result.json must be")
    sit.add_argument("--max-regression", type=_ratio, metavar="P", help="of the report given to --before")
    _add_limits(sit)
    sit.set_defaults(func=_sit)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return value


def _import(arguments: argparse.Namespace) -> int:
    try:
        made = imported(arguments.format, arguments.files)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made.rows)
        if arguments.output:
            arguments.output.write_text(text, encoding="utf-8")
        else:
            sys.stdout.buffer.write(text.encode())
    except (ExamError, OSError) as error:
        return failed(error)
    for line in made.left_out:
        sys.stderr.write(f"left out: {plain(line)}\n")
    sys.stderr.write(f"{len(made.rows)} questions, {len(made.left_out)} left out\n")
    return 0


def _sit(arguments: argparse.Namespace) -> int:
    from mcq_service.exams import shard  # imported here, as below

    return shard.run(arguments)


def _run(command: str, arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    # Imported here: it takes seconds, which the other commands need not wait.
    from mcq_service.exams import running

    return running.run(command, arguments, settings)
