"""The arguments of `mcq` and `kubectl mcq`."""

import argparse
import os

from argcomplete.completers import FilesCompleter

from mcq_operator import __version__

from .completion import complete_contexts, complete_exams, complete_solvers

URL = "http://127.0.0.1:8000"
_EPILOG = (
    "Exit status: 0: success; 1: failure, with the reason on the standard error; 2: invalid arguments; 3: the model"
    " abstained; 130: interrupted; 141: the reader of the output has gone."
)


def mcq_parser() -> argparse.ArgumentParser:
    """Return the parser of `mcq`."""
    parser, commands = _program(
        "mcq", "Asks a service multiple-choice questions. On a cluster, `kubectl mcq` asks a solver."
    )
    ask = commands.add_parser("ask", help="ask a question", epilog=_EPILOG)
    _add_question(ask)
    _add_service(ask)
    _add_output(ask)
    exam = commands.add_parser(
        "exam",
        help="ask the questions of an exam and print the accuracy",
        description="Asks a service the questions of an exam's evaluation half, and prints the figures. It runs"
        " `python -m mcq_service evaluate`, which must be installed, too, and has more options.",
    )
    exam.set_defaults(command="evaluate")
    _complete(exam.add_argument("files", nargs="+", metavar="EXAM.jsonl"), FilesCompleter())
    exam.add_argument("--limit", type=int, metavar="N", help="ask N of the questions, the same N each time")
    _add_service(exam)
    _add_output(exam)
    script = commands.add_parser("completion", help="print the completion script of a shell")
    script.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser


def kubectl_parser() -> argparse.ArgumentParser:
    """Return the parser of `kubectl mcq`."""
    parser, commands = _program("kubectl mcq", "Shows, asks and promotes the MCQSolvers of a cluster.")
    status = commands.add_parser("status", help="show a solver, or all of the namespace")
    _complete(status.add_argument("solver", nargs="?", metavar="SOLVER"), complete_solvers)
    ask = commands.add_parser(
        "ask",
        help="ask a solver a question",
        description="Asks through the API server's proxy, so neither an Ingress nor a port-forward is needed.",
        epilog=_EPILOG,
    )
    _complete(ask.add_argument("solver", metavar="SOLVER"), complete_solvers)
    _add_question(ask)
    exam = commands.add_parser("exam", help="list the exams of the namespace, or print the report of one")
    _complete(exam.add_argument("exam", nargs="?", metavar="EXAM"), complete_exams)
    promote = commands.add_parser(
        "promote",
        help="let the change that waits at a solver's gate reach users",
        description="Approves the change that waits at the solver's gate, whatever the result of its exam. It"
        " annotates the MCQSolver with the change's digest, your user name and the reason.",
    )
    _complete(promote.add_argument("solver", metavar="SOLVER"), complete_solvers)
    promote.add_argument("--reason", help="why (default: the time)")
    promote.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    for each in status, ask, exam, promote:
        each.add_argument("-n", "--namespace", metavar="NAME", help="default: the context's")
        _complete(
            each.add_argument("--context", metavar="NAME", help="a context of KUBECONFIG"), complete_contexts
        )
        _add_output(each, *(["html"] if each is exam else []))
    return parser


def _program(
    name: str, description: str
) -> tuple[argparse.ArgumentParser, "argparse._SubParsersAction[argparse.ArgumentParser]"]:
    parser = argparse.ArgumentParser(prog=name, description=description, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"{name} {__version__}")
    return parser, parser.add_subparsers(dest="command", metavar="COMMAND", required=True)


def _add_question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION", help="-: read it from the standard input")
    parser.add_argument(
        "choices", nargs="+", metavar="CHOICE", help="2 to 26; after --, one may begin with -"
    )
    parser.add_argument("--mode", choices=("answer", "explain", "reason"), help="default: the service's")


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", default=os.environ.get("MCQ_URL") or URL, help="the service (MCQ_URL; %(default)s)"
    )
    file = parser.add_argument(
        "--key-file",
        metavar="FILE",
        default=os.environ.get("MCQ_API_KEY_FILE"),
        help="a file with the service's API key (MCQ_API_KEY_FILE)",
    )
    _complete(file, FilesCompleter())


def _add_output(parser: argparse.ArgumentParser, *more: str) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json", *more), default="text", help="%(default)s")


def _complete(action: argparse.Action, completer: object) -> None:
    action.completer = completer  # type: ignore[attr-defined]  # as argcomplete documents it
