"""The command `model fetch`: prepare a model and print its path."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from mcq_service.model_store.catalogue import DEFAULT_URI
from mcq_service.model_store.errors import ModelStoreError
from mcq_service.model_store.precision import PRECISIONS
from mcq_service.model_store.progress_display import report_error, show_progress
from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.sources import Source, sources_for
from mcq_service.model_store.store import Store
from mcq_service.runtime.terminal import INTERRUPTED, run_command

_TERMINATED = 143


Sources = Callable[[ModelRef], Sequence[Source]]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand `model`; its parser sets `func`: from arguments to exit code."""
    model = subparsers.add_parser("model", help="the store of model weights")
    commands = model.add_subparsers(required=True, metavar="COMMAND")
    _add_fetch(commands, sources_for)


def _add_fetch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", sources: Sources) -> None:
    fetch = commands.add_parser(
        "fetch",
        help="fetch, verify and convert a model, and print its path",
        description="Fetch, verify and convert a model, unless the store has it. Prints the path of the prepared "
        "model on standard output and everything else on standard error.",
    )
    environ = os.environ
    fetch.add_argument(
        "--uri", default=environ.get("MCQ_MODEL_URI") or DEFAULT_URI, help="default: %(default)s"
    )
    fetch.add_argument(
        "--revision", default=environ.get("MCQ_MODEL_REVISION") or None, help="commit, tag or branch"
    )
    fetch.add_argument(
        "--digest", default=environ.get("MCQ_MODEL_DIGEST") or None, help="sha256:… of the model's files"
    )
    fetch.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=environ.get("MCQ_MODEL_PRECISION") or "auto",
        help="auto: int8 on most CPUs, bfloat16 on a GPU",
    )
    fetch.add_argument("--cache", type=Path, default=_default_cache(), help="the store; default: %(default)s")
    fetch.add_argument("--verify", action="store_true", help="check the SHA-256 of an existing model")
    fetch.add_argument("--keep-source", action="store_true", help="keep the downloaded weights, in sources/")
    fetch.add_argument(
        "--attempts",
        type=int,
        default=environ.get("MCQ_MODEL_FETCH_ATTEMPTS") or "10",
        help="attempts to reach a source that does not answer; default: %(default)s",
    )
    fetch.set_defaults(func=partial(_fetch, sources))


def _default_cache() -> Path:
    if explicit := os.environ.get("MCQ_MODEL_CACHE"):
        return Path(explicit)
    return Path(os.environ.get("MCQ_CACHE") or Path.home() / ".cache" / "mcq-operator") / "models"


def _fetch(sources: Sources, args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        ref = ModelRef(args.uri, args.revision, args.digest)
        store = Store(args.cache.expanduser().absolute(), sources=sources, attempts=args.attempts)
        with show_progress(sys.stderr) as progress:
            model = store.ensure(
                ref, args.precision, progress, verify=args.verify, keep_source=args.keep_source
            )
    except (ModelStoreError, OSError) as error:
        return report_error(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: the downloaded data is kept; run this again to continue\n")
        return INTERRUPTED
    sys.stdout.write(f"{model.path}\n")
    return 0


def _terminate(_signal: int, _frame: object) -> NoReturn:
    """Exit by an exception, so that all started work is cleaned up."""
    raise SystemExit(_TERMINATED)


def main(argv: list[str] | None = None, *, sources: Sources = sources_for) -> int:
    """Run the command alone: without the rest of the service it starts in a second."""
    parser = argparse.ArgumentParser(prog="model")
    _add_fetch(parser.add_subparsers(required=True, metavar="COMMAND"), sources)
    args = parser.parse_args(argv)
    code: int = args.func(args)
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
