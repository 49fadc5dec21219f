"""Runs the two commands: exams read, model prepared and loaded, result shown and written."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mcq_service.answering.calibration_files import NAME, CalibrationUnusable, save
from mcq_service.exams import asking, commands, console, parts
from mcq_service.exams.cli import KEY
from mcq_service.exams.commands import Sitting
from mcq_service.exams.errors import ExamError, ResultUnreadable
from mcq_service.exams.judging import Limits
from mcq_service.exams.questions import read
from mcq_service.exams.report import read_rows
from mcq_service.exams.report_page import page
from mcq_service.model_store import ModelRef, ModelStoreError, PreparedModel, Store
from mcq_service.model_store.progress_display import report_error as failed
from mcq_service.model_store.progress_display import show_progress as shown
from mcq_service.prompts import ANSWER_FORMS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mcq_service.api.service.schemas import Identity
    from mcq_service.exams.asking import Asker
    from mcq_service.exams.report import Report
    from mcq_service.runtime.settings import Settings

_NOT_PASSED = 4
_INTERRUPTED = 130


def run(command: str, arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    """Run `calibrate` or `evaluate` and return its exit code; what a person can mend is one line."""
    work = _calibrate if command == "calibrate" else _evaluate
    try:
        return asyncio.run(work(arguments, settings))
    except (ExamError, ModelStoreError, CalibrationUnusable, OSError) as error:
        return failed(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was written\n")
        return _INTERRUPTED


async def _calibrate(arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    sitting = Sitting(read(arguments.exams), "calibration", arguments.limit)
    # The scores that are fitted to are uncalibrated: an older calibration, perhaps of another prompt, is not wanted.
    configured = settings().model_copy(update={"calibration": None})
    prepared = _prepare(configured)
    async with asking.in_process(prepared, configured, forms=ANSWER_FORMS.values()) as ready:
        stored, fit = await commands.calibrate(ready.answering, sitting, prepared, stream=sys.stderr)
    path = arguments.output or prepared.path / NAME
    # What took long is kept before it is shown: whoever reads that may have gone.
    save(stored, path)
    console.show_fit(fit, sys.stdout)
    sys.stdout.write(f"{path}\n")
    return 0


async def _evaluate(arguments: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    sitting = Sitting(
        read(arguments.exams), arguments.split, arguments.limit, arguments.debias, arguments.min_confidence
    )
    before = read_rows(arguments.paired) if arguments.paired else None
    limits = Limits(
        arguments.min_accuracy,
        arguments.max_regression,
        arguments.max_calibration_error,
        arguments.max_p95_seconds,
    )
    if limits.max_regression is not None and before is None:
        raise ResultUnreadable("--max-regression is of an earlier result: name it by --paired FILE")

    async def held(asker: Asker, target: str, identity: Identity | None) -> Report:
        part = await commands.hold(asker, sitting, target=target, identity=identity, stream=sys.stderr)
        return parts.report([part], before=before, limits=limits)

    if arguments.url:
        async with asking.service_at(arguments.url, os.environ.get(KEY)) as service:
            report = await held(service, arguments.url, await service.identity())
    else:
        configured = settings()
        prepared = _prepare(configured)
        async with asking.in_process(prepared, configured) as ready:
            target = f"in this process, {prepared.precision}"
            report = await held(ready.answering, target, ready.identity)
    if arguments.html:
        arguments.html.write_text(page(report), encoding="utf-8")
    _write(report, arguments.json)
    if report.verdict and report.verdict.outcome != "Passed":
        return _NOT_PASSED
    return 1 if report.failures else 0


def _prepare(settings: Settings) -> PreparedModel:
    ref = ModelRef(settings.model_uri, revision=settings.model_revision, digest=settings.model_digest)
    with shown(sys.stderr) as progress:
        return Store(settings.model_cache, attempts=settings.model_fetch_attempts).ensure(
            ref, settings.model_precision, progress, verify=settings.model_verify
        )


def _write(report: Report, to: str | None) -> None:
    """The tables to the output, and the JSON to its file; with `-` the JSON to the output, the tables to the error."""
    document = report.model_dump_json(indent=1) + "\n"
    if to and to != "-":
        Path(to).write_text(document)
    console.show(report, sys.stderr if to == "-" else sys.stdout)
    if to == "-":
        sys.stdout.write(document)
