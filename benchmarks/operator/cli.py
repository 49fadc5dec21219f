"""Benchmark the operator, and KubeRay's for comparison, on a control plane of this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from functools import partial
from typing import Any

from hack.toolchain.paths import ROOT

from benchmarks.operator import (
    client,
    control_plane,
    kuberay,
    observer,
    operator_process,
    replicas,
    report,
    scenarios,
    workload,
)
from benchmarks.procfs import machine
from mcq_operator.api.kinds import CHILDREN
from mcq_operator.api.names import MANAGED_SELECTOR


def main() -> None:
    """Run the benchmark and print a table; write the figures as JSON to build/bench-operator.json."""
    options = _parser().parse_args()
    runs = []
    for number in range(options.runs):
        _say(f"run {number + 1} of {options.runs}")
        with control_plane.running(workload.namespaces()) as plane:
            figures = asyncio.run(_measure(plane, options))
        for setting in kuberay.SETTINGS:
            with control_plane.running(workload.namespaces()) as plane:
                peer_figures = asyncio.run(kuberay.measure(plane, setting, count=options.solvers))
            figures.setdefault("kuberay", {})[setting] = _printed(f"KubeRay, {setting}", peer_figures)
        runs.append(figures)
    here = {**machine(), "load": os.getloadavg()[0]}
    results = {"machine": here, "solvers": options.solvers, "replicas": options.replicas, "runs": runs}
    target = ROOT / "build/bench-operator.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2))
    print(report.table(results))


async def _measure(plane: control_plane.ControlPlane, options: argparse.Namespace) -> dict[str, Any]:
    """Run all scenarios; each one starts from the state that the previous one left."""
    figures: dict[str, Any] = {}
    log = plane.provider.instance.logs / "operator.log"
    solvers = workload.solvers("many", options.solvers, replicas=options.replicas)
    async with (
        client.connected(plane.operator_kubeconfig) as ours,
        client.connected(plane.provider.kubeconfig()) as admin,
        observer.watching(
            admin, [kind for kind in CHILDREN if not kind.provider], MANAGED_SELECTOR
        ) as observed,
        replicas.answering() as canary,
    ):
        program = operator_process.ours(plane.operator_kubeconfig, canary=canary)
        start = partial(operator_process.running, program, log)
        stage = scenarios.Stage(plane, admin, observed, options.replicas)
        figures["reference"] = _printed("reference", await scenarios.reference(plane, ours))
        async with start() as operator:
            figures["one"] = _printed("one", await scenarios.one_by_one(stage))
            figures["many"] = _printed("many", await scenarios.many(stage, operator, solvers))
            figures["ready"] = _printed("ready", await scenarios.ready(stage, operator))
        started = time.monotonic()
        async with start() as operator:
            count = options.solvers + scenarios.REPEATS
            figures["restart"] = _printed("restart", await scenarios.restart(operator, started, count))
            figures["drift"] = _printed("drift", await scenarios.drift(stage, solvers))
            await scenarios.settled(operator, lambda _: True)
            figures["idle"] = _printed("idle", await scenarios.idle(operator))
    return figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operator", description=__doc__)
    parser.add_argument("--solvers", type=int, default=1000, help="the number of solvers to create at once")
    parser.add_argument(
        "--replicas", type=int, default=3, help="the replicas of each solver; a plain spec has 3"
    )
    parser.add_argument("--runs", type=int, default=1, help="the number of runs of all scenarios")
    return parser


def _printed(scenario: str, figures: dict[str, Any]) -> dict[str, Any]:
    _say(f"  {scenario}: {json.dumps(report.rounded(figures))}")
    return figures


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
