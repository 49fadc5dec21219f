"""Render a report as one HTML page, without scripts or external files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template

if TYPE_CHECKING:
    from mcq_eval.metrics.outcomes import Proportion
    from mcq_eval.report.exam_report import Report


MAX_ROWS = 5000
"""The most questions that the page lists; the JSON has all."""


def render_page(report: Report) -> str:
    """Return an HTML document: figures, reliability diagram, subjects, letters, and every question."""
    style = files("mcq_service").joinpath("page/base.css").read_text(encoding="utf-8")
    return _template().render(report=report, figures=report.figures, style=style, max_rows=MAX_ROWS)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(share=_share, percent=_percent)
    text = files("mcq_eval.report").joinpath("report.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _share(proportion: Proportion) -> str:
    """Return a share with its 95 % interval."""
    if proportion.value is None:
        return "of no question"
    low, high = proportion.ci95
    return f"{proportion.value:.1%} ({proportion.right} of {proportion.total}; 95 %: {low:.1%} to {high:.1%})"
