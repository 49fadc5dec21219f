"""The command line: `python -m mcq_service [serve]` answers questions; others prepare models, calibrate, evaluate."""

from __future__ import annotations

import argparse
import asyncio
import sys

from pydantic import ValidationError

from mcq_eval import cli
from mcq_service.model_store.fetch_command import add_parser
from mcq_service.runtime.api_keys import InvalidKeys
from mcq_service.runtime.settings import Settings
from mcq_service.runtime.terminal import printable, run_command
from mcq_service.telemetry import logs


def main() -> int:
    """Run the subcommand and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mcq_service", description=__doc__)
    parser.set_defaults(func=_serve)
    subparsers = parser.add_subparsers(metavar="COMMAND")
    subparsers.add_parser(
        "serve", help="answer questions over HTTP (the default); configured by MCQ_* variables"
    )
    add_parser(subparsers)
    cli.add_parsers(subparsers, _settings)
    arguments = parser.parse_args()
    code: int = arguments.func(arguments)
    return code


def _serve(_: argparse.Namespace) -> int:
    from mcq_service.runtime.server import serve

    settings = _settings()
    logs.configure(settings.log_level)
    try:
        return asyncio.run(serve(settings))
    except InvalidKeys as error:
        print(f"MCQ_API_KEYS_FILE: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        return 1


def _settings() -> Settings:
    """Read the settings. Print a line for each invalid one and exit with code 2."""
    try:
        return Settings()
    except ValidationError as error:
        for each in error.errors():
            name = "MCQ_" + "_".join(str(step) for step in each["loc"]).upper()
            print(printable(f"{name}={each['input']}: {each['msg']}"), file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    sys.exit(run_command(main))
