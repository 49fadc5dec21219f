"""The documentation names each type of problem with its status."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcq_service.api.problems import ProblemError

DOCS = Path(__file__).resolve().parents[3] / "docs"


def problems(kind: type[ProblemError] = ProblemError) -> Iterator[type[ProblemError]]:
    for each in kind.__subclasses__():
        yield each
        yield from problems(each)


@pytest.mark.parametrize("page", ["api.md", "troubleshooting.md"])
def test_the_page_names_each_problem(page: str) -> None:
    rows = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("| `")]
    missing = [
        each.slug
        for each in problems()
        if not any(f"`{each.slug}`" in row and str(each.status) in row for row in rows)
    ]
    assert missing == []
