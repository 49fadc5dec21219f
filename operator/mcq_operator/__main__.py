"""The operator's commands: `python -m mcq_operator --help`."""

import argparse
import asyncio
import logging
import sys
from typing import get_args

import yaml
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from . import __version__
from .api import ExamKey, admission, rbac
from .cli import backup
from .cli.check import CheckError, check, policy_refusals
from .cli.exam_report import Format, ReportError, print_report
from .cli.terminal import run_command, write_error
from .manager.json_logging import configure_logging
from .manager.manager import run
from .manager.metrics import Metrics
from .manager.tracing import tracing
from .settings import Settings

logger = logging.getLogger(__name__)

UNUSABLE = 2
"""The exit status for unusable settings."""


def main() -> None:
    """Entry point of `python -m mcq_operator`."""
    sys.exit(run_command(_main))


def _main() -> int:
    arguments = _parser().parse_args()
    namespaces = tuple(getattr(arguments, "namespace", ()))
    match arguments.command:
        case "check":
            return _check(arguments)
        case "exam":
            return _report(arguments)
        case "backup" | "restore":
            return backup.run(arguments)
        case "rbac":
            manifests = [
                *rbac.manifests(namespaces=namespaces, home=arguments.home),
                *rbac.user_roles(),
                *admission.promote(),
                *admission.tenants(),
            ]
            yaml.safe_dump_all(manifests, sys.stdout, sort_keys=False)
            return 0
    overrides = {"namespaces": namespaces} if namespaces else {}
    settings = _settings()
    return UNUSABLE if settings is None else _run(settings.model_copy(update=overrides))


def _settings() -> Settings | None:
    """Return the configuration, or None after printing a line for each mistake in it."""
    try:
        return Settings()
    except ValidationError as error:
        for each in error.errors():
            name = "_".join(str(step) for step in each["loc"]).upper()
            where = f"MCQ_OPERATOR_{name}={each['input']!r}: " if name else ""
            write_error(f"error: {where}{each['msg']}")
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mcq_operator",
        description="Reconciles MCQSolvers and MCQExams. Without a command it runs until SIGTERM. Environment"
        " variables configure it: MCQ_OPERATOR_ and a setting's name, see mcq_operator/settings.py.",
        epilog="Exit status: 0: success; 2: arguments or settings are invalid, or a backup or restore failed and a"
        " retry alone does not help; 141: the reader of the output has gone; 1: any other failure.",
    )
    parser.add_argument("--version", action="version", version=f"mcq-operator {__version__}")
    _add_namespaces(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    rbac_parser = commands.add_parser(
        "rbac",
        help="print the manifests that an operator needs beside the CRDs: permissions and admission policies",
    )
    _add_namespaces(rbac_parser)
    rbac_parser.add_argument("--home", default=rbac.NAMESPACE, help="the operator's namespace (%(default)s)")
    _add_exam(commands.add_parser("exam", help="print the report of an exam"))
    backup.add_parsers(commands)
    check_parser = commands.add_parser(
        "check",
        help="print the objects that the operator creates for a file's MCQSolvers, or a policy's refusals",
    )
    check_parser.add_argument("file", help="a manifest, or - for standard input")
    check_parser.add_argument(
        "-n",
        "--namespace",
        dest="of_namespace",
        default="default",
        help="the namespace of manifests without one (%(default)s)",
    )
    check_parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="FILE",
        help="an MCQPolicy; print its refusals of the MCQSolvers and MCQExams; may be given several times",
    )
    return parser


def _add_exam(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="exam_command", metavar="COMMAND", required=True)
    report_parser = commands.add_parser("report", help="print the report of an exam's last sitting")
    report_parser.add_argument("name", help="the MCQExam in the cluster that KUBECONFIG names")
    report_parser.add_argument(
        "-n", "--namespace", dest="exam_namespace", default="default", metavar="NAME", help="(%(default)s)"
    )
    report_parser.add_argument("--sitting", help="an earlier sitting: the name of its Job")
    report_parser.add_argument("-o", "--output", choices=get_args(Format), default="text", help="%(default)s")


def _add_namespaces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--namespace",
        action="append",
        # With None, the command's default would replace the option before the command.
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="a namespace to serve; may be given several times; without it, all namespaces",
    )


def _report(arguments: argparse.Namespace) -> int:
    key = ExamKey(arguments.exam_namespace, arguments.name)
    try:
        print_report(key, sitting=arguments.sitting, form=arguments.output)
    except ReportError as error:
        write_error(f"error: {error}")
        return 1
    return 0


def _check(arguments: argparse.Namespace) -> int:
    settings = _settings()
    if settings is None:
        return UNUSABLE
    try:
        if arguments.policy:
            refusals = policy_refusals(arguments.file, arguments.policy, namespace=arguments.of_namespace)
            for line in refusals:
                write_error(f"refused: {line}")
            return 1 if refusals else 0
        check(
            arguments.file,
            namespace=arguments.of_namespace,
            installation=settings.installation,
            out=sys.stdout,
        )
    except CheckError as error:
        write_error(f"error: {error}")
        return 1
    return 0


def _run(settings: Settings) -> int:
    configure_logging(settings.log_level)
    scope = ", ".join(settings.namespaces) or "all namespaces"
    logger.info("serving %s", scope, extra={"service_images": list(settings.images)})
    with tracing():
        status = asyncio.run(run(settings, Metrics(CollectorRegistry())))
    logger.info("stopped")
    return status


if __name__ == "__main__":
    main()
