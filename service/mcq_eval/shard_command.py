"""`exam sit`: ask one shard of an exam, in a Pod of an Indexed Job. The last shard writes the report of all."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mcq_eval.config_maps import ConfigMaps, pod_account
from mcq_eval.dataset.exam_file import read_exams
from mcq_eval.dataset.exam_source import fetch
from mcq_eval.environment import KEY_VARIABLE
from mcq_eval.errors import ExamError, ModelChanged
from mcq_eval.evidence import write_termination_message
from mcq_eval.parts import build_report
from mcq_eval.report.rows import read_stored_rows
from mcq_eval.report.tables import print_report
from mcq_eval.results import ResultStore, check_size
from mcq_eval.runner.answerers import BESIDE_USERS
from mcq_eval.runner.runner import ExamSpec, run_exam
from mcq_eval.runner.service_client import connect
from mcq_eval.verdict import Limits
from mcq_service.model_store.progress_display import report_error

if TYPE_CHECKING:
    import argparse

    from mcq_eval.parts import Part


def run(arguments: argparse.Namespace) -> int:
    """Run the shard and return the exit code: 0 for any verdict, so that a failed verdict does not fail the Job."""
    try:
        asyncio.run(_run(arguments))
    except (ExamError, OSError) as error:
        return report_error(error)
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    store = ResultStore(ConfigMaps(pod_account(os.environ)), arguments.results)
    part = await _run_shard(arguments)
    stored = await store.put(
        arguments.sitting,
        arguments.shard,
        arguments.shards,
        part,
        run=arguments.run,
        history=arguments.history,
    )
    if not stored.parts:
        sys.stderr.write(
            f"shard {arguments.shard} of {arguments.shards} is done; other shards are still running\n"
        )
        write_termination_message(stored.digest, None)
        return
    before = read_stored_rows(arguments.before, arguments.before_digest) if arguments.before else None
    report = build_report(stored.parts, before=before, limits=Limits.of(arguments))
    digest = await store.publish(arguments.sitting, report, stored.digests, history=arguments.history)
    print_report(report, sys.stdout)
    # Last: if the Pod fails before this, the error's message is its termination message.
    write_termination_message(stored.digest, digest)


async def _run_shard(arguments: argparse.Namespace) -> Part:
    with tempfile.TemporaryDirectory() as directory:
        path = await fetch(arguments.questions, Path(directory), digest=arguments.digest)
        exam = read_exams([path])
    spec = ExamSpec(exam, "all", debias=arguments.debias, shard=arguments.shard, shards=arguments.shards)
    check_size(spec.questions, shards=arguments.shards)
    async with connect(arguments.url, os.environ.get(KEY_VARIABLE)) as service:
        before = await service.identity()
        part = await run_exam(
            service,
            spec,
            target=arguments.url,
            identity=before,
            stream=sys.stderr,
            pace=BESIDE_USERS,
        )
        if await service.identity() != before:
            raise ModelChanged("The solver's model or prompt changed during the exam.")
    return part
