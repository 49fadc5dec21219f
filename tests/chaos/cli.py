"""Inject one fault per run between the operator and the API server, and compare each run with a clean one."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hack import operator_rights
from hack.control_plane.control_plane import ControlPlane
from hack.control_plane.instance import Instance
from hack.kubectl import Kubectl
from hack.toolchain.paths import ROOT
from hack.toolchain.progress import Progress
from tests.chaos import campaign, report
from tests.chaos.cases import FAMILIES, Case, derive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.run import Result

BUILD = ROOT / "build/chaos"
NAME = "chaos"
DEFAULT_JOBS = 8
REPORT_EVERY = 50


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; return 1 if a case has an alarm or a case named by --case does not reach its point."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    shutil.rmtree(BUILD, ignore_errors=True)
    results: list[Result] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _cluster(keep=options.keep) as kubectl:
            asyncio.run(_campaign(kubectl, options, results))
    except KeyboardInterrupt:
        print("interrupted; these are the results so far", file=sys.stderr)
    if not results:
        return 0 if options.list else 1
    report.write(results, BUILD / "report.json")
    print(f"{report.alarms(results)}\n{report.table(results)}\n{time.monotonic() - started:.0f} s")
    unreached = any(not each.hit for each in results) and bool(options.case)
    return 1 if unreached or any(each.alarms for each in results) else 0


async def _campaign(kubectl: Kubectl, options: argparse.Namespace, results: list[Result]) -> None:
    async with campaign.arena(kubectl.kubeconfig, BUILD) as arena:
        print("clean runs, to compare with", file=sys.stderr)
        expected = await campaign.agreed(arena)
        cases = [Case.parse(name) for name in options.case] or _select(derive(expected.trace), options.fault)
        if options.list:
            print("\n".join(map(str, cases)))
            return
        print(f"{len(cases)} cases, {options.jobs} at once", file=sys.stderr)
        async for result in campaign.run(arena, cases, expected, jobs=options.jobs):
            results.append(result)
            if result.alarms:
                print(report.text(result), file=sys.stderr)
            if len(results) % REPORT_EVERY == 0:
                print(f"{len(results)} of {len(cases)} cases", file=sys.stderr)


def _select(cases: list[Case], faults: list[str]) -> list[Case]:
    return [case for case in cases if not faults or case.fault in faults]


@contextmanager
def _cluster(*, keep: bool) -> Iterator[Kubectl]:
    provider = ControlPlane(Instance(NAME), Progress())
    provider.up()
    try:
        kubectl = Kubectl(provider.kubectl(), provider.kubeconfig())
        operator_rights.install(kubectl)
        yield kubectl
    finally:
        if not keep:
            provider.down()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--case", action="append", default=[], help="run this case; may be repeated")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=FAMILIES,
        help="run every case of this fault; may be repeated",
    )
    parser.add_argument("--jobs", type=int, default=DEFAULT_JOBS, help="the number of cases that run at once")
    parser.add_argument("--list", action="store_true", help="only print the cases' names")
    parser.add_argument("--keep", action="store_true", help="keep the cluster afterwards")
    return parser
