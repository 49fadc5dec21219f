"""The arguments of the commands on exams.

`calibrate` fits a model's calibration, `evaluate` measures a model or a service, `exam import` converts published
exams, and the operator's Jobs run `exam sit`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mcq_eval.dataset.exam import SPLITS
from mcq_eval.environment import KEY_VARIABLE
from mcq_eval.errors import ExamError
from mcq_eval.importing.importer import FORMATS, import_exam
from mcq_service.api.mcq.question_schemas import Debias
from mcq_service.model_store.progress_display import report_error
from mcq_service.runtime.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcq_service.runtime.settings import Settings

_EXAM = "JSON lines with id, subject, question, choices and answer"


def add_parsers(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], settings: Callable[[], Settings]
) -> None:
    """Add the subcommands. Their parsers set `func`, from arguments to exit code; `settings` reads MCQ_*."""
    calibrate = subparsers.add_parser(
        "calibrate",
        help="fit the model's letter prior and temperature to an exam",
        description="Fit a calibration on the calibration half of the questions, and print its effect on questions "
        "it was not fitted on. MCQ_* variables configure the model and the engine, as for serve.",
    )
    _add_exam(calibrate)
    calibrate.add_argument(
        "--output", type=Path, metavar="FILE", help="default: calibration.json beside the prepared model"
    )
    calibrate.set_defaults(func=lambda arguments: _run("calibrate", arguments, settings))

    evaluate = subparsers.add_parser(
        "evaluate",
        help="accuracy, calibration and selection bias on an exam",
        description="Answer questions with known answers, by the model in this process (MCQ_* variables configure "
        f"it, as for serve) or by a running service ({KEY_VARIABLE} has its key, if it needs one).",
    )
    _add_exam(evaluate)
    evaluate.add_argument("--split", choices=SPLITS, default="evaluation", help="default: %(default)s")
    evaluate.add_argument(
        "--debias", choices=get_args(Debias), help="default: the service's, prior unless configured"
    )
    evaluate.add_argument("--min-confidence", type=float, metavar="P", help="abstain below it")
    evaluate.add_argument(
        "--json", metavar="FILE", help="write the result, with every question; -: to standard output"
    )
    evaluate.add_argument("--html", type=Path, metavar="FILE", help="write the result as a page with plots")
    evaluate.add_argument("--url", help="ask this service: http://…")
    evaluate.add_argument(
        "--escalate", action="store_true", help="let that service ask another solver where it would abstain"
    )
    evaluate.add_argument(
        "--paired", type=Path, metavar="FILE", help="compare with an earlier JSON result (exact McNemar test)"
    )
    limits = evaluate.add_argument_group(
        "limits", "P from 0 to 1; the exit code is 4 if the result misses one or is inconclusive"
    )
    limits.add_argument(
        "--max-regression", type=_ratio, metavar="P", help="compared with the result of --paired"
    )
    _add_limits(limits)
    evaluate.set_defaults(func=lambda arguments: _run("evaluate", arguments, settings))

    exam = subparsers.add_parser("exam", help="convert published exams, and run exams in a Kubernetes Job")
    commands = exam.add_subparsers(metavar="COMMAND", required=True)
    importing = commands.add_parser(
        "import",
        help="convert a published exam",
        description=f"Convert files of a published exam to {_EXAM}. Questions that can't be asked are left out and "
        "listed.",
    )
    importing.add_argument("format", choices=FORMATS, help="the format of the files")
    importing.add_argument("files", nargs="+", type=Path, metavar="FILE")
    importing.add_argument("--output", type=Path, metavar="EXAM.jsonl", help="default: standard output")
    importing.set_defaults(func=_import)
    _add_sit(commands)


def _add_exam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exams", nargs="+", type=Path, metavar="EXAM.jsonl", help=_EXAM)
    parser.add_argument("--limit", type=_positive, metavar="N", help="take N questions, the same N each time")


def _add_limits(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--min-accuracy", type=_ratio, metavar="P")
    parser.add_argument("--max-calibration-error", type=_ratio, metavar="P")
    parser.add_argument("--max-p95-seconds", type=float, metavar="S", help="for 95 %% of the answers")


def _add_sit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sit = commands.add_parser(
        "sit",
        help="ask a solver one shard of an exam, in a Pod",
        description="Ask one of several equal shares of an exam's questions and keep the answers in ConfigMaps of the"
        f" Pod's namespace. The last shard writes the report of all. {KEY_VARIABLE} has the solver's key.",
    )
    sit.add_argument("--questions", required=True, metavar="PATH|URL", help="http(s):// and s3:// too")
    sit.add_argument("--digest", metavar="sha256:…", help="the digest that the questions must have")
    sit.add_argument("--url", required=True, help="the solver: http://…")
    sit.add_argument(
        "--results",
        required=True,
        metavar="NAME",
        help="the ConfigMap of the exam; NAME-I is the one of a shard",
    )
    sit.add_argument(
        "--sitting", required=True, metavar="NAME", help="the prefix of the ConfigMap's keys: the Job's name"
    )
    sit.add_argument(
        "--run",
        required=True,
        metavar="ID",
        help="the Job's uid: answers of an earlier Job of the same name do not count",
    )
    sit.add_argument("--shard", type=int, required=True, metavar="I", help="from 0")
    sit.add_argument("--shards", type=_positive, required=True, metavar="N")
    sit.add_argument(
        "--history", type=_positive, default=3, metavar="N", help="the number of reports to keep"
    )
    sit.add_argument("--debias", choices=get_args(Debias), help="default: the solver's")
    sit.add_argument(
        "--before",
        type=Path,
        metavar="FOLDER",
        help="a folder with the shards of an earlier result to compare with",
    )
    sit.add_argument("--before-digest", metavar="sha256:…", help="the digest that its result.json must have")
    sit.add_argument(
        "--max-regression", type=_ratio, metavar="P", help="compared with the result of --before"
    )
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
        exam = import_exam(arguments.format, arguments.files)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in exam.rows)
        if arguments.output:
            arguments.output.write_text(text, encoding="utf-8")
        else:
            sys.stdout.buffer.write(text.encode())
    except (ExamError, OSError) as error:
        return report_error(error)
    for line in exam.left_out:
        sys.stderr.write(f"left out: {printable(line)}\n")
    sys.stderr.write(f"{len(exam.rows)} questions, {len(exam.left_out)} left out\n")
    return 0


def _sit(arguments: argparse.Namespace) -> int:
    from mcq_eval import shard_command  # imported here, as below

    return shard_command.run(arguments)


def _run(command: str, arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    # Imported here: the import takes seconds, and the other commands do not need it.
    from mcq_eval import model_commands

    return model_commands.run(command, arguments, settings)
