"""A campaign's results, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from tests.chaos.cases import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.run import Result


def table(results: list[Result]) -> str:
    """Return, for each fault, the number of cases and of cases with alarms."""
    lines = [f"{'fault':20} {'cases':>6} {'reached':>8} {'alarms':>7} {'s a case':>9}"]
    for name in FAMILIES:
        of_fault = [each for each in results if each.name.startswith(f"{name}@")]
        if of_fault:
            lines.append(_row(name, of_fault))
    return "\n".join([*lines, _row("all", results)])


def alarms(results: list[Result]) -> str:
    """Return each case with alarms, and the command that repeats it."""
    return "\n".join(text(each) for each in results if each.alarms)


def text(result: Result) -> str:
    """Return one case as text."""
    lines = [f"{result.name}: {'ALARM' if result.alarms else 'as in a clean run'}, {result.seconds:.1f} s"]
    if not result.hit:
        lines.append("  this run did not reach its point, so it injected no fault")
    lines += [f"  {alarm}" for alarm in result.alarms]
    if result.alarms:
        lines.append(f"  again: .venv/bin/python -m tests.chaos --case '{result.name}'")
    return "\n".join(lines)


def write(results: list[Result], path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([dataclasses.asdict(each) for each in results], indent=1))


def _row(name: str, results: list[Result]) -> str:
    reached = sum(each.hit for each in results)
    alarming = sum(bool(each.alarms) for each in results)
    seconds = sum(each.seconds for each in results) / len(results)
    return f"{name:20} {len(results):>6} {reached:>8} {alarming:>7} {seconds:>9.1f}"
