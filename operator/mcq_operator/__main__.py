"""The operator's commands: `python -m mcq_operator --help`."""

import argparse
import asyncio
import logging
import sys
from typing import get_args

import yaml
from prometheus_client import CollectorRegistry

from . import __version__, backup
from .check import CheckError, check
from .models import ExamKey, rbac
from .operating import operate
from .reports import Format, ReportError, report
from .settings import Settings
from .telemetry import Metrics, configure_logging
from .tracing import tracing

logger = logging.getLogger(__name__)


def main() -> None:
    """Entry point of `python -m mcq_operator`."""
    arguments = _parser().parse_args()
    namespaces = tuple(getattr(arguments, "namespace", ()))
    match arguments.command:
        case "check":
            sys.exit(_check(arguments.file, Settings()))
        case "exam":
            sys.exit(_report(arguments))
        case "backup" | "restore":
            sys.exit(backup.run(arguments))
        case "rbac":
            made = rbac.manifests(namespaces=namespaces, home=arguments.home)
            yaml.safe_dump_all(made, sys.stdout, sort_keys=False)
        case _:
            named = {"namespaces": namespaces} if namespaces else {}
            sys.exit(_run(Settings().model_copy(update=named)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mcq_operator",
        description="Reconciles MCQSolvers. Without a command it runs until SIGTERM, configured by the"
        " environment: MCQ_OPERATOR_ and a setting's name, see mcq_operator/settings.py.",
    )
    parser.add_argument("--version", action="version", version=f"mcq-operator {__version__}")
    _add_namespaces(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    granting = commands.add_parser("rbac", help="print the permissions that an operator needs, as manifests")
    _add_namespaces(granting)
    granting.add_argument("--home", default=rbac.NAMESPACE, help="the namespace it runs in (%(default)s)")
    _add_exam(commands.add_parser("exam", help="print the report of an exam"))
    backup.add_parsers(commands)
    checking = commands.add_parser("check", help="print the objects that a file's MCQSolvers would make")
    checking.add_argument("file", help="a manifest, or - for standard input")
    return parser


def _add_exam(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="exam_command", metavar="COMMAND", required=True)
    reporting = commands.add_parser("report", help="print the report of an exam's last sitting")
    reporting.add_argument("name", help="the MCQExam, of the cluster that KUBECONFIG names")
    reporting.add_argument(
        "-n", "--namespace", dest="exam_namespace", default="default", metavar="NAME", help="(%(default)s)"
    )
    reporting.add_argument("--sitting", help="an earlier sitting: the name of its Job")
    reporting.add_argument("-o", "--output", choices=get_args(Format), default="text", help="%(default)s")


def _add_namespaces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--namespace",
        action="append",
        # Not None: a command's would replace what stands before the command.
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="a namespace to serve, once for each; without it, all",
    )


def _report(arguments: argparse.Namespace) -> int:
    key = ExamKey(arguments.exam_namespace, arguments.name)
    try:
        found = asyncio.run(report(key, sitting=arguments.sitting, form=arguments.output))
    except ReportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.buffer.write(found)
    return 0


def _check(file: str, settings: Settings) -> int:
    try:
        check(
            file,
            service_image=settings.service_image,
            operator_image=settings.image,
            out=sys.stdout,
        )
    except CheckError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _run(settings: Settings) -> int:
    configure_logging(settings.log_level)
    scope = ", ".join(settings.namespaces) or "all namespaces"
    logger.info("serving %s", scope, extra={"service_image": settings.service_image})
    with tracing():
        status = asyncio.run(operate(settings, Metrics(CollectorRegistry())))
    logger.info("stopped")
    return status


if __name__ == "__main__":
    main()
