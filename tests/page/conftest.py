"""Fixtures for the page tests: a browser, the scripted service and a tab on the page."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hack.toolchain.progress import Progress
from hack.toolchain.tools import install_programs
from playwright.async_api import Browser, Page, async_playwright
from tests.page.browsing import Visit
from tests.page.scripted import Script, app, serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Yield the distribution's Chromium with a fresh profile and no background requests."""
    install_programs({"chromium": "chromium"}, Progress())
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield chromium
        await chromium.close()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    """Yield the scripted service's URL."""
    with serving(app(script)) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, url: str) -> AsyncIterator[Visit]:
    """Yield a tab with a fresh profile on the page; an unexpected log error fails the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, base_url=url)
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    visit = Visit(await context.new_page(), url)
    await visit.open("/")
    yield visit
    await context.close()
    assert visit.errors == []


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.page
