"""`calibrate` and `evaluate`: read the exams, load the model, run it, print and write the result."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mcq_eval.calibration_fit.fit_tables import print_fit
from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.environment import KEY_VARIABLE
from mcq_eval.errors import ExamError, ResultUnreadable
from mcq_eval.parts import build_report
from mcq_eval.report.html_page import render_page
from mcq_eval.report.rows import read_rows
from mcq_eval.report.tables import print_report
from mcq_eval.runner import runner
from mcq_eval.runner.answerers import InProcess, load_in_process
from mcq_eval.runner.runner import ExamSpec
from mcq_eval.runner.service_client import connect
from mcq_eval.verdict import Limits
from mcq_service.mcq.calibration_files import FILE_NAME, CalibrationUnusable, write_calibration
from mcq_service.model_store import ModelRef, ModelStoreError, PreparedModel, Store
from mcq_service.model_store.progress_display import report_error, show_progress
from mcq_service.runtime.terminal import INTERRUPTED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mcq_eval.report.exam_report import Report
    from mcq_eval.runner.answerers import Answerer
    from mcq_service.api.service.schemas import Identity
    from mcq_service.runtime.settings import Settings

_NOT_PASSED = 4


def run(command: str, arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    """Run `calibrate` or `evaluate` and return its exit code. An error that a person can fix is one line."""
    work = _calibrate if command == "calibrate" else _evaluate
    try:
        return asyncio.run(work(arguments, settings))
    except (ExamError, ModelStoreError, CalibrationUnusable, OSError) as error:
        return report_error(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was written\n")
        return INTERRUPTED


async def _calibrate(arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    spec = ExamSpec(read_exams(arguments.exams), "calibration", arguments.limit)
    # The fit needs uncalibrated scores, so the configured calibration, perhaps of another prompt, is left out.
    configured = settings().model_copy(update={"calibration": None})
    prepared = _prepare(configured)
    async with load_in_process(prepared, configured, every_form=True) as ready:
        stored, fit = await runner.calibrate(ready.mcq, spec, prepared, ready.forms, stream=sys.stderr)
    path = arguments.output or prepared.path / FILE_NAME
    # Write before printing: the fit took long, and a reader that has left would end the command.
    write_calibration(stored, path)
    print_fit(fit, sys.stdout)
    sys.stdout.write(f"{path}\n")
    return 0


async def _evaluate(arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    spec = ExamSpec(
        read_exams(arguments.exams),
        arguments.split,
        arguments.limit,
        arguments.debias,
        arguments.min_confidence,
    )
    before = read_rows(arguments.paired) if arguments.paired else None
    limits = Limits.of(arguments)
    if limits.max_regression is not None and before is None:
        raise ResultUnreadable("--max-regression needs an earlier result: name it with --paired FILE")

    async def evaluate(answerer: Answerer, target: str, identity: Identity | None) -> Report:
        part = await runner.run_exam(answerer, spec, target=target, identity=identity, stream=sys.stderr)
        return build_report([part], before=before, limits=limits)

    if arguments.url:
        async with connect(
            arguments.url, os.environ.get(KEY_VARIABLE), escalate=arguments.escalate
        ) as service:
            report = await evaluate(service, arguments.url, await service.identity())
    else:
        configured = settings()
        prepared = _prepare(configured)
        async with load_in_process(prepared, configured) as ready:
            target = f"in this process, {prepared.precision}"
            report = await evaluate(InProcess(ready), target, ready.identity)
    if arguments.html:
        arguments.html.write_text(render_page(report), encoding="utf-8")
    _write(report, arguments.json)
    if report.verdict and report.verdict.outcome != "Passed":
        return _NOT_PASSED
    return 1 if report.failures else 0


def _prepare(settings: Settings) -> PreparedModel:
    ref = ModelRef(settings.model_uri, revision=settings.model_revision, digest=settings.model_digest)
    with show_progress(sys.stderr) as progress:
        return Store(settings.model_cache, attempts=settings.model_fetch_attempts).ensure(
            ref, settings.model_precision, progress, verify=settings.model_verify
        )


def _write(report: Report, path: str | None) -> None:
    """Print the tables and write the JSON to `path`. `-`: print the JSON, and the tables to standard error."""
    document = report.model_dump_json(indent=1) + "\n"
    if path and path != "-":
        Path(path).write_text(document)
    print_report(report, sys.stderr if path == "-" else sys.stdout)
    if path == "-":
        sys.stdout.write(document)
