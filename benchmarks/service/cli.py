"""Benchmark the service on this machine, and the peers if their directory is given."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from hack.toolchain.paths import ROOT

from benchmarks.procfs import machine, memory
from benchmarks.service import bound, peers, replica_process, telemetry
from benchmarks.service.workload import SCENARIOS, Measured, load, offsets
from mcq_service.engine.int8 import native
from mcq_service.model_store import INSTRUCTION_SETS
from mcq_service.model_store.precision import PRECISIONS, resolve

if TYPE_CHECKING:
    from benchmarks.service.bound import Bound

Rows = dict[str, dict[str, list[Measured]]]  # by target and scenario, one item per run


def main() -> None:
    """Run the benchmark and print a table; write the figures as JSON to build/bench.json."""
    options = _parser().parse_args()
    questions = load(options.exam)
    rows: Rows = {}
    start: list[dict[str, Any]] = []
    bounds: list[Bound] = []
    for number in range(options.runs):
        print(f"run {number + 1} of {options.runs}", file=sys.stderr)
        if resolve(options.precision) != "int8":
            start.append(_ours(rows, options, questions))
        else:
            for each in options.instruction_sets or native.instruction_sets():
                start.append(_ours(rows, options, questions, MCQ_INSTRUCTION_SET=each))
                prepared = replica_process.prepared("int8")
                bounds.append(bound.measure(prepared, questions[: SCENARIOS[0].questions], each))
        if options.peers:
            _peers(rows, options, questions)
    print("telemetry", file=sys.stderr)
    cost = telemetry.measure(options.precision, questions)
    report = {
        "machine": machine(),
        "runs": options.runs,
        "start": start,
        "rows": _figures(rows),
        "telemetry": cost and dataclasses.asdict(cost),
        "bounds": [dataclasses.asdict(each) | {"seconds": each.seconds} for each in bounds],
    }
    target = ROOT / "build/bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(report, indent=2))
    _print(report)
    print(cost or "telemetry: not measured, as the exam has too few questions")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--exam", type=Path, required=True, help="questions, a JSON object a line")
    parser.add_argument("--runs", type=int, default=1, help="the number of runs of all scenarios")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="the service's weights")
    parser.add_argument(
        "--instruction-sets",
        nargs="+",
        choices=INSTRUCTION_SETS,
        help="the int8 engine's; by default all that this CPU has",
    )
    parser.add_argument("--peers", type=Path, help="a directory with llama-server and openvino")
    parser.add_argument("--gguf", type=Path, help="the peers' weights")
    parser.add_argument(
        "--slots", type=int, nargs="+", default=[4, 8], help="llama-server's; the best counts"
    )
    return parser


def _ours(rows: Rows, options: argparse.Namespace, questions: list[Any], **settings: str) -> dict[str, Any]:
    with replica_process.service(options.precision, **settings) as target:
        for scenario in SCENARIOS:
            batch = questions[offsets()[scenario.name] :][: scenario.questions]
            measured = replica_process.measure(target, scenario, batch)
            _add(rows, f"service: {target.engine}", scenario.name, measured)
        used = memory(target.process.pid)
        return {
            "engine": target.engine,
            "ready_seconds": target.start_seconds,
            "resident_gib": used["rss"] / 1024,
            "peak_gib": used["rss_peak"] / 1024,
        }


def _peers(rows: Rows, options: argparse.Namespace, questions: list[Any]) -> None:
    service = next(target for target in rows if target.startswith("service"))
    for slots in options.slots:
        with peers.llama_server(options.peers, options.gguf, slots) as url:
            for scenario in SCENARIOS:
                batch = questions[offsets()[scenario.name] :][: scenario.questions]
                tokens = _tokens(rows[service][scenario.name][-1])
                measured = peers.measure(url, scenario, batch, tokens=tokens)
                _add(rows, f"llama-server, {slots} slots", scenario.name, measured)
    for scenario in SCENARIOS:
        tokens = _tokens(rows[service][scenario.name][-1])
        measured = peers.openvino(options.peers, options.gguf, options.exam, scenario, tokens=tokens)
        _add(rows, "OpenVINO GenAI", scenario.name, measured)


def _tokens(measured: Measured) -> int:
    """Return the number of tokens that a peer must write to match the service: the label and the reasoning."""
    return max(1, round(measured.tokens))


def _add(rows: Rows, target: str, scenario: str, measured: Measured) -> None:
    rows.setdefault(target, {}).setdefault(scenario, []).append(measured)
    print(f"  {target}: {scenario}: {measured.seconds:.3f} s a question", file=sys.stderr)


def _figures(rows: Rows) -> list[dict[str, Any]]:
    """Return one row per target and scenario: the median of the runs, and their spread."""
    return [
        {
            "target": target,
            "scenario": scenario,
            "seconds_per_question": round(median(each.seconds for each in runs), 3),
            "lowest": round(min(each.seconds for each in runs), 3),
            "highest": round(max(each.seconds for each in runs), 3),
            "tokens": round(median(each.tokens for each in runs), 1),
            "first_seconds": _median([each.first for each in runs if each.first is not None]),
        }
        for target, scenarios in rows.items()
        for scenario, runs in scenarios.items()
    ]


def _median(values: list[float]) -> float | None:
    return round(median(values), 3) if values else None


def _print(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(f"{machine['cpu']}, {machine['cpus']} CPUs, {' '.join(machine['flags'])}; runs: {report['runs']}")
    for each in report["start"]:
        print(
            f"{each['engine']}: ready after {each['ready_seconds']:.1f} s, {each['resident_gib']:.2f} GiB resident, "
            f"{each['peak_gib']:.2f} at most"
        )
    answers = {
        row["target"]: row["seconds_per_question"]
        for row in report["rows"]
        if row["scenario"] == SCENARIOS[0].name
    }
    for each in report["bounds"]:
        answer = answers[f"service: cpu (int8, {each['instruction_set']})"]
        print(
            f"products alone with {each['instruction_set']}: {each['tokens_per_second']:.0f} tokens/s, "
            f"{each['single_tokens_per_second']:.0f} of one token each; {each['seconds']:.3f} s a question of "
            f"{each['tokens']:.1f} tokens; {SCENARIOS[0].name}: {each['seconds'] / answer:.0%} of that rate"
        )
    print(f"{'target':34} {'scenario':38} {'s/question':>10} {'spread':>15} {'tokens':>7} {'first s':>8}")
    for row in report["rows"]:
        spread = f"{row['lowest']:.3f}-{row['highest']:.3f}"
        first = "" if row["first_seconds"] is None else f"{row['first_seconds']:.3f}"
        print(
            f"{row['target']:34} {row['scenario']:38} {row['seconds_per_question']:>10.3f} {spread:>15} "
            f"{row['tokens']:>7.1f} {first:>8}"
        )
