"""`exam sit`: one shard of an exam, in a Pod of an Indexed Job; the last shard makes the report of all."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mcq_service.exams import asking, commands, console, parts, report
from mcq_service.exams.cli import KEY
from mcq_service.exams.commands import Sitting
from mcq_service.exams.errors import ExamError, ModelChanged
from mcq_service.exams.evidence import state
from mcq_service.exams.judging import Limits
from mcq_service.exams.questions import read
from mcq_service.exams.results import Results, check_room, in_cluster
from mcq_service.exams.sources import fetched
from mcq_service.model_store.progress_display import report_error as failed

if TYPE_CHECKING:
    import argparse

    from mcq_service.exams.parts import Part


def run(arguments: argparse.Namespace) -> int:
    """Sit the shard and return the exit code: 0 whatever the verdict is, which is the exam's and not the Job's."""
    try:
        asyncio.run(_run(arguments))
    except (ExamError, OSError) as error:
        return failed(error)
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    results = Results(in_cluster(os.environ), arguments.results)
    part = await _sat(arguments)
    kept = await results.put(
        arguments.sitting,
        arguments.shard,
        arguments.shards,
        part,
        run=arguments.run,
        history=arguments.history,
    )
    if not kept.parts:
        sys.stderr.write(f"shard {arguments.shard} of {arguments.shards} is done, others are not yet\n")
        state(kept.digest, None)
        return
    before = report.unpacked_rows(arguments.before, arguments.before_digest) if arguments.before else None
    limits = Limits(
        min_accuracy=arguments.min_accuracy,
        max_regression=arguments.max_regression,
        max_calibration_error=arguments.max_calibration_error,
        max_p95_seconds=arguments.max_p95_seconds,
    )
    result = parts.report(kept.parts, before=before, limits=limits)
    digest = await results.publish(arguments.sitting, result, kept.digests, history=arguments.history)
    console.show(result, sys.stdout)
    # Last: until it has ended well, the message of a Pod is what went wrong.
    state(kept.digest, digest)


async def _sat(arguments: argparse.Namespace) -> Part:
    with tempfile.TemporaryDirectory() as directory:
        path = await fetched(arguments.questions, Path(directory), digest=arguments.digest)
        exam = read([path])
    sitting = Sitting(exam, "all", debias=arguments.debias, shard=arguments.shard, shards=arguments.shards)
    check_room(sitting.questions, shards=arguments.shards)
    async with asking.service_at(arguments.url, os.environ.get(KEY)) as service:
        before = await service.identity()
        part = await commands.hold(
            service,
            sitting,
            target=arguments.url,
            identity=before,
            stream=sys.stderr,
            pace=asking.BESIDE_USERS,
        )
        if await service.identity() != before:
            raise ModelChanged("The solver's model or prompt was replaced while it was asked.")
    return part
