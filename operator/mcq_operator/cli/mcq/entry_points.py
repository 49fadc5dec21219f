"""The programs `mcq`, `kubectl-mcq` and `kubectl_complete-mcq`.

The commands are imported when they run: completion does not need the Kubernetes client, which takes half a second.
"""

import argparse
import logging
import sys

import argcomplete

from mcq_operator.cli.terminal import run_command, write_error

from . import completion
from .errors import CommandError
from .parsers import kubectl_parser, mcq_parser

INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell shows it for SIGINT."""


def mcq() -> None:
    """Entry point of `mcq`."""
    sys.exit(_main(mcq_parser()))


def kubectl_mcq() -> None:
    """Entry point of `kubectl mcq`."""
    sys.exit(_main(kubectl_parser()))


def kubectl_complete() -> None:
    """Entry point of `kubectl_complete-mcq`, which kubectl runs to complete the arguments of `kubectl mcq`."""
    logging.disable()  # a missing KUBECONFIG must not be reported in the middle of a command line
    sys.exit(run_command(lambda: completion.complete_for_kubectl(kubectl_parser(), sys.argv[1:])))


def _main(parser: argparse.ArgumentParser) -> int:
    argcomplete.autocomplete(parser, **completion.OPTIONS)
    return run_command(lambda: _run(parser.parse_args()))


def _run(arguments: argparse.Namespace) -> int:
    try:
        return _dispatch(arguments)
    except CommandError as error:
        write_error(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _dispatch(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "completion":
            return completion.write_script(arguments.shell)
        case "evaluate":
            from . import evaluation

            return evaluation.run(arguments)
        case "ask":
            from . import ask

            return ask.run(arguments)
    from . import resource_commands

    return resource_commands.run(arguments)
