"""The page and its reference below a path prefix."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.page.browsing import CHOICES, QUESTION, Visit
from tests.page.scripted import serving
from tests.service.fakes import Replica

from mcq_service.api import app

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def below(browser: Browser) -> AsyncIterator[Visit]:
    """Yield the real service behind a path prefix; a request without the prefix counts as foreign."""
    replica = Replica()
    replica.app = app.build(
        replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing, root_path="/teams/blue"
    )
    replica.load()
    with serving(replica.app) as url:
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        visit = Visit(await context.new_page(), f"{url}/teams/blue")
        yield visit
        await context.close()
    replica.close()
    assert (visit.errors, visit.foreign) == ([], [])


async def test_the_page_and_its_reference_work_below_a_path_prefix(below: Visit) -> None:
    """It works from the address without a trailing slash and through the links between the two pages."""
    page = below.page
    await below.open("")
    await below.ask(QUESTION, CHOICES)
    await expect(page.get_by_role("status").or_(page.locator("#result")).first).to_be_visible()
    await expect(page.locator("body")).to_contain_text("%")
    await page.get_by_role("link", name="API reference").click()
    await expect(page.locator("#operations h2").first).to_be_visible()
    section = page.locator("#post-api-v1-mcq-answer")
    await section.get_by_text("Try it").click()
    await expect(section.get_by_text("curl -X POST")).to_contain_text(f"{below.url}/api/v1/mcq/answer")
    await section.get_by_role("button", name="Send").click()
    await expect(section).to_contain_text("200 OK in")
    await page.get_by_role("link", name="Ask a question").click()
    await expect(page.get_by_label("Question", exact=True)).to_be_visible()
    assert page.url == f"{below.url}/"
