"""The page with the real service and the default model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from tests.page.browsing import Visit
from tests.service.conftest import model_cache
from tests.service.processes import Service, service

__all__ = ["model_cache"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Service]:
    """Yield the real service with the default model."""
    log = tmp_path_factory.mktemp("service") / "log"
    with service(
        log, MCQ_MODEL_CACHE=str(model_cache), MCQ_TRACE_URL="http://127.0.0.1/trace/{trace_id}"
    ) as process:
        process.wait_started()
        yield process


@pytest.mark.parametrize("mode", ["Answer", "Explain", "Reason"])
async def test_the_real_model_answers_on_the_page(browser: Browser, running: Service, mode: str) -> None:
    """The whole way works without a script: keyboard, bars, streamed reasoning and trace."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(await context.new_page(), running.url)
    page = visit.page
    page.set_default_timeout(60_000)
    await visit.open("/")
    await expect(page.locator("#service")).to_have_attribute("data-state", "ready")
    await page.get_by_role("radio", name=mode).check()
    await visit.ask("What is the capital of France?", ["Berlin", "Madrid", "Paris", "Rome"])
    await expect(page.locator("#facts")).to_contain_text("Tokens", timeout=60_000)
    await expect(page.locator("#verdict")).to_contain_text("Paris")
    await expect(page.locator("#bars li")).to_have_count(4)
    await expect(page.locator("#problem")).to_be_empty()
    reasoning = page.locator("#reasoning-text")
    assert bool(await reasoning.text_content()) == (mode != "Answer")
    await context.close()
    assert (visit.errors, visit.foreign) == ([], [])
