"""Run test suites, each to its end even if another fails: `python -m hack.suites SUITE ...`.

Each suite is a target of the Makefile. A final table shows tests and seconds of each, then the slowest tests. The exit
code is 1 if a suite failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOWEST = 10


@dataclass(frozen=True)
class Case:
    """One test."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A suite's result."""

    suite: str
    passed: bool
    seconds: float
    cases: list[Case]
    failed: int = 0
    skipped: int = 0


def run(suite: str, reports: Path) -> Outcome:
    """Run one suite; write its JUnit report to `reports`."""
    started = time.monotonic()
    command = ["make", "--no-print-directory", suite, f"JUNIT={reports}"]
    done = subprocess.run(command, cwd=ROOT, check=False)
    seconds = time.monotonic() - started
    cases, failed, skipped = read(reports / f"{suite}.xml")
    return Outcome(suite, done.returncode == 0, seconds, cases, failed, skipped)


def read(report: Path) -> tuple[list[Case], int, int]:
    """Return a JUnit report's tests, and its numbers of failed and skipped tests; zeros without a report."""
    if not report.exists():
        return [], 0, 0
    elements = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 (pytest's own)
    cases, failed, skipped = [], 0, 0
    for element in elements:
        module = element.get("classname", "").replace("tests.", "", 1)
        cases.append(Case(f"{module}::{element.get('name')}", float(element.get("time") or 0)))
        failed += element.find("failure") is not None or element.find("error") is not None
        skipped += element.find("skipped") is not None
    return cases, failed, skipped


def table(outcomes: list[Outcome]) -> str:
    """Return a table of the suites with their tests and seconds, and of the slowest tests."""
    lines = [f"{'suite':20} {'result':8} {'tests':>6} {'failed':>6} {'skipped':>7} {'seconds':>8}"]
    for each in outcomes:
        result = "passed" if each.passed else "FAILED"
        counts = f"{len(each.cases):6} {each.failed:6} {each.skipped:7}" if each.cases else f"{'':21}"
        lines.append(f"{each.suite:20} {result:8} {counts} {each.seconds:8.0f}")
    tests, seconds = sum(len(each.cases) for each in outcomes), sum(each.seconds for each in outcomes)
    failed, skipped = sum(each.failed for each in outcomes), sum(each.skipped for each in outcomes)
    lines.append(f"{'all':20} {'':8} {tests:6} {failed:6} {skipped:7} {seconds:8.0f}")
    slowest = sorted(
        (case for each in outcomes for case in each.cases), key=lambda case: case.seconds, reverse=True
    )
    lines += ["", "the slowest tests:"]
    lines += [f"{case.seconds:8.1f} s  {case.name}" for case in slowest[:SLOWEST]]
    return "\n".join(lines)


def main() -> int:
    """Run the suites on the command line."""
    parser = argparse.ArgumentParser(prog="python -m hack.suites", description=__doc__)
    parser.add_argument("suites", nargs="+", metavar="SUITE")
    suites = parser.parse_args().suites
    with tempfile.TemporaryDirectory() as scratch:
        kept = os.environ.get("REPORTS")
        reports = (ROOT / kept if kept else Path(scratch)).resolve()
        reports.mkdir(parents=True, exist_ok=True)
        outcomes = [run(suite, reports) for suite in suites]
    print(f"\n{table(outcomes)}", file=sys.stderr)
    return 0 if all(each.passed for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
