"""The page is accessible by axe's rules, by the keyboard and in dark colours."""

from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from tests.page.browsing import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESKTOP: Any = {"viewport": {"width": 1280, "height": 900}}
PHONE: Any = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_every_state_of_the_page_is_accessible(
    browser: Browser, url: str, screen: Any, scheme: Literal["light", "dark"]
) -> None:
    """axe reports no violation and the page fits the screen when empty, answered, refused and invalid."""
    context = await browser.new_context(**screen, color_scheme=scheme, reduced_motion="reduce")
    visit = Visit(await context.new_page(), url)
    await visit.open("/")
    await expect(visit.page.locator("#service")).to_contain_text("scripted/model")
    await check(visit.page)
    await visit.ask("Which planet has the shortest day?", ["Mercury", "a long one " * 30, "x" * 200])
    await expect(visit.page.locator("#facts")).to_contain_text("scripted/model")
    await check(visit.page)
    await visit.ask("Busy?")
    await expect(visit.page.get_by_role("alert")).to_contain_text("The service is busy")
    await check(visit.page)
    await visit.ask("Bad?")
    await expect(visit.page.get_by_role("alert")).to_contain_text("The form marks what to change")
    await check(visit.page)
    await visit.open("/docs")
    await expect(visit.page.locator("#operations h2")).not_to_have_count(0)
    await visit.page.get_by_text("Try it").first.click()
    await check(visit.page)
    await context.close()
    assert visit.errors == []


async def check(page: Page) -> None:
    results = await Axe().run(page, options={"resultTypes": ["violations"]})
    assert results.violations_count == 0, results.generate_snapshot()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_colours_follow_the_system(page: Page) -> None:
    """A system with dark colours gets a dark page."""

    async def lightness() -> float:
        colours = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"
        return float(await page.evaluate(f"{colours}.reduce((a, b) => a + b) / 3"))

    await page.emulate_media(color_scheme="light")
    assert await lightness() > 200
    await page.emulate_media(color_scheme="dark")
    assert await lightness() < 50


async def test_tab_reaches_every_control(visit: Visit, page: Page) -> None:
    """Tab follows the reading order from the skip link on, and every stop shows the focus."""
    await visit.write()
    await page.reload()
    stops = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        name = await page.evaluate(
            "(at => (at.ariaLabel || at.id || at.value || at.textContent).trim())(document.activeElement)"
        )
        if name == "" or await page.evaluate("document.activeElement === document.body"):
            break
        stops.append(name)
        assert await page.evaluate("document.activeElement.matches(':focus-visible')")
    assert stops[:4] == ["Skip to the question", "API reference", "question", "Choice A"]
    assert stops.index("add") < stops.index("Options") < stops.index("ask") < stops.index("copy-curl")
