"""The page shows the result of the last exam from the file that the operator mounts."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from tests.page.browsing import Visit
from tests.page.scripted import Script

pytestmark = pytest.mark.asyncio(loop_scope="session")

RESULT = {
    "name": "mmlu",
    "accuracy": 0.4762,
    "ci95": [0.4277, 0.5252],
    "count": 399,
    "sat": "2026-11-24T13:46:15Z",
}


async def test_the_page_shows_the_last_exams_questions_date_and_result(
    visit: Visit, page: Page, script: Script, tmp_path: Path
) -> None:
    script.exam_file = tmp_path / "exam.json"
    script.exam_file.write_text(json.dumps(RESULT))
    await visit.open("/")
    await expect(page.locator("#exam")).to_have_text(
        "In its last exam, “mmlu” on November 24, 2026, it answered 47.6 % of 399 questions correctly"
        " (95 %: 42.8 to 52.5 %)."
    )


@pytest.mark.parametrize("content", [None, "", "{}"])
async def test_the_page_shows_nothing_without_a_readable_result(
    visit: Visit, page: Page, script: Script, tmp_path: Path, content: str | None
) -> None:
    script.exam_file = tmp_path / "exam.json"
    if content is not None:
        script.exam_file.write_text(content)
    await visit.open("/")
    await expect(page.locator("#service")).to_have_attribute("data-state", "ready")
    await expect(page.locator("#exam")).to_be_empty()
