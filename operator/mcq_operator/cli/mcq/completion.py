"""Completion in the shells, by argcomplete, and in kubectl."""

import argparse
import asyncio
import itertools
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from argcomplete.completers import SuppressCompleter
from argcomplete.finders import CompletionFinder
from argcomplete.shell_integration import shellcode

if TYPE_CHECKING:
    from mcq_operator.api.kinds import Kind

OPTIONS: dict[str, Any] = {
    "always_complete_options": False,
    "append_space": False,
    "default_completer": SuppressCompleter(),
}
"""Offer options only after a dash, and no files in place of questions and names."""
SECONDS = 3
"""How long a completion may ask the cluster."""
NO_FILES = ":4"
"""Cobra's directive to kubectl: complete no file names."""


def write_script(shell: str) -> int:
    """Print the shell's script that completes `mcq`."""
    sys.stdout.write(shellcode(["mcq"], shell=shell))
    return 0


def complete_for_kubectl(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Print the completions of the last word, one a line, then the directive."""
    *before, last = words or [""]
    line = f"{shlex.join(before)} {last}".lstrip()
    finder = CompletionFinder(parser, **OPTIONS)
    for completed in _all(finder, line):
        sys.stdout.write(completed[len(line) - len(last) :] + "\n")
    sys.stdout.write(f"{NO_FILES}\n")
    return 0


def _all(finder: CompletionFinder, line: str) -> Iterator[str]:
    for state in itertools.count():
        if (completed := finder.rl_complete(line, state)) is None:
            return
        yield completed


def complete_solvers(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the names of the namespace's MCQSolvers."""
    from mcq_operator.api.kinds import SOLVER

    return _names(SOLVER, parsed_args)


def complete_exams(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the names of the namespace's MCQExams."""
    from mcq_operator.api.kinds import EXAM

    return _names(EXAM, parsed_args)


def complete_contexts(**_: object) -> list[str]:
    """Return the names of KUBECONFIG's contexts."""
    from kubernetes.aio.config import ConfigException, list_kube_config_contexts

    try:
        contexts, _current = list_kube_config_contexts()
    except ConfigException:
        return []
    return [each["name"] for each in contexts]


def _names(kind: "Kind", arguments: argparse.Namespace) -> list[str]:
    from .connection import connected, namespace_of
    from .errors import CommandError

    async def names() -> list[str]:
        async with connected(arguments) as client:
            listed = await client.list(kind, namespace=namespace_of(arguments))
            return [each["metadata"]["name"] for each in listed]

    try:
        return asyncio.run(asyncio.wait_for(names(), SECONDS))
    except (CommandError, TimeoutError):
        return []
