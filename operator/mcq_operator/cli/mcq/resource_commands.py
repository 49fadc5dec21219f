"""`kubectl mcq status`, `exam` and `promote`."""

import argparse
import asyncio
from datetime import UTC, datetime

from mcq_operator.api import ExamKey, MCQExam, MCQSolver
from mcq_operator.api.kinds import EXAM, SOLVER
from mcq_operator.cli.exam_report import ReportError, print_report
from mcq_operator.cli.terminal import write_error, write_json, write_line
from mcq_operator.client import Client

from . import approval, exam_list, solver_summary
from .connection import connected, namespace_of
from .errors import CommandError


def run(arguments: argparse.Namespace) -> int:
    """Run the command. Raises CommandError."""
    match arguments.command:
        case "status":
            asyncio.run(_status(arguments))
        case "exam" if arguments.exam:
            _report(arguments)
        case "exam":
            asyncio.run(_exams(arguments))
        case "promote":
            asyncio.run(_promote(arguments))
    return 0


async def _status(arguments: argparse.Namespace) -> None:
    namespace = namespace_of(arguments)
    async with connected(arguments) as client:
        if arguments.solver:
            solvers = [await _solver(client, namespace, arguments.solver)]
        else:
            solvers = [MCQSolver.without_spec(raw) for raw in await client.list(SOLVER, namespace=namespace)]
    if arguments.output == "json":
        summaries = [solver_summary.summary(each) for each in solvers]
        write_json(summaries[0] if arguments.solver else summaries)
        return
    for each in solvers:
        solver_summary.write(each)
    if not solvers:
        write_error(f"There is no MCQSolver in namespace {namespace}.")


async def _exams(arguments: argparse.Namespace) -> None:
    if arguments.output == "html":
        message = "-o html needs the name of an exam"
        raise CommandError(message)
    namespace = namespace_of(arguments)
    async with connected(arguments) as client:
        exams = [MCQExam.without_spec(raw) for raw in await client.list(EXAM, namespace=namespace)]
    if arguments.output == "json":
        write_json([exam_list.summary(each) for each in exams])
    elif exams:
        exam_list.write(exams)
    else:
        write_error(f"There is no MCQExam in namespace {namespace}.")


def _report(arguments: argparse.Namespace) -> None:
    key = ExamKey(namespace_of(arguments), arguments.exam)
    try:
        print_report(key, sitting=None, form=arguments.output, context=arguments.context)
    except ReportError as error:
        raise CommandError(str(error)) from error


async def _promote(arguments: argparse.Namespace) -> None:
    async with connected(arguments) as client:
        solver = await _solver(client, namespace_of(arguments), arguments.solver)
        gate = approval.waiting_change(solver)
        text = approval.text(
            solver, gate, user=await client.username(), reason=arguments.reason, now=datetime.now(UTC)
        )
        if not arguments.yes:
            approval.confirm(solver, gate, text)
        await client.apply(approval.annotated(solver, text), force=True, manager=approval.FIELD_MANAGER)
    if arguments.output == "json":
        write_json(
            {"name": solver.name, "namespace": solver.namespace, "change": gate.change, "approval": text}
        )
    else:
        write_line(f"Approved change {gate.change} of MCQSolver {solver.key}: {text}")


async def _solver(client: Client, namespace: str, name: str) -> MCQSolver:
    raw = await client.get(SOLVER, namespace=namespace, name=name)
    if raw is None:
        message = f"There is no MCQSolver {namespace}/{name}."
        raise CommandError(message)
    return MCQSolver.without_spec(raw)
