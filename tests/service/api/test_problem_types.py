"""The documentation names each type of problem with its status."""

from collections.abc import Iterator
from pathlib import Path

from mcq_service.api.problems import ProblemError

REFERENCE = Path(__file__).resolve().parents[3] / "docs/api.md"


def problems(kind: type[ProblemError] = ProblemError) -> Iterator[type[ProblemError]]:
    for each in kind.__subclasses__():
        yield each
        yield from problems(each)


def test_the_api_reference_names_each_problem() -> None:
    rows = [line for line in REFERENCE.read_text().splitlines() if line.startswith("| `")]
    missing = [
        each.slug
        for each in problems()
        if not any(f"`{each.slug}`" in row and str(each.status) in row for row in rows)
    ]
    assert missing == []
