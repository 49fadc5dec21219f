"""`mcq exam`: run the evaluation of the service's package, which has the formats and the statistics of exams."""

import argparse
import importlib.util
import os
import subprocess
import sys

from .api_key import read_key
from .errors import CommandError


def run(arguments: argparse.Namespace) -> int:
    """Run `python -m mcq_service evaluate` against the URL, and return its exit status."""
    if importlib.util.find_spec("mcq_service") is None:
        message = (
            "mcq exam needs the service's package, mcq-service, in the same Python environment. On a cluster, an"
            " MCQExam needs nothing on this machine."
        )
        raise CommandError(message)
    command = [sys.executable, "-m", "mcq_service", "evaluate", "--url", arguments.url]
    command += ["--limit", str(arguments.limit)] if arguments.limit is not None else []
    command += ["--json", "-"] if arguments.output == "json" else []
    key = read_key(arguments.key_file)
    environment = {**os.environ, "MCQ_API_KEY": key} if key else None
    return subprocess.run([*command, "--", *arguments.files], env=environment, check=False).returncode
