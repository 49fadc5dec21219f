"""The page shows overload, refusals, broken streams and missing keys."""

import pytest
from playwright.async_api import Page, expect
from tests.page.browsing import Visit
from tests.page.scripted import Script, fetching, ready

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_overload_shows_the_time_to_retry(visit: Visit, page: Page, script: Script) -> None:
    """Retry-After counts down; then one click sends the question again."""
    await visit.ask("Busy?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The service is busy")
    await expect(alert).to_contain_text("Try again in 2 seconds.")
    await expect(alert.get_by_role("button")).to_have_count(0)
    await page.get_by_label("Question", exact=True).fill("Better now?")
    await alert.get_by_role("button", name="Try again").click()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await expect(page.locator("#problem")).to_be_empty()
    assert [body["question"] for body in script.bodies] == ["Busy?", "Better now?"]


async def test_a_loading_model_is_not_shown_as_an_error_of_the_question(visit: Visit, page: Page) -> None:
    """The page shows the service's own message and when to retry."""
    await visit.ask("Loading?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The model is not ready")
    await expect(alert).to_contain_text("Loading: weights.")
    await expect(alert).to_contain_text("Try again in 5 seconds.")


async def test_an_invalid_field_is_marked(visit: Visit, page: Page) -> None:
    """Each pointer marks its field; the first field gets the focus, and typing in it removes the mark."""
    await visit.ask("Bad?")
    wrong = visit.choice("B")
    await expect(wrong).to_be_focused()
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(wrong).to_have_accessible_description("Must not be blank.")
    await expect(page.get_by_label("Minimum confidence")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_role("alert")).to_contain_text("The form marks what to change.")
    await wrong.fill("better")
    await expect(wrong).not_to_have_attribute("aria-invalid", "true")


async def test_an_error_without_a_field_is_shown_in_full(visit: Visit, page: Page) -> None:
    """The page shows the complete problem."""
    await visit.ask("Foreign?")
    await expect(page.get_by_role("alert")).to_contain_text("/extra: not permitted")


async def test_a_problem_in_the_stream_keeps_the_partial_answer(visit: Visit, page: Page) -> None:
    """The answer stays, and the alert says that it was cut off and why."""
    await visit.ask("Broken?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The answer was cut off")
    await expect(alert).to_contain_text("It took too long. Try later.")
    await expect(alert.get_by_role("button", name="Try again")).to_be_visible()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await expect(page.locator("#reasoning-text")).to_have_text("Jupiter turns once ")


async def test_a_truncated_stream_is_a_lost_connection(visit: Visit, page: Page) -> None:
    """A stream without `done` or `problem` does not count as complete."""
    await visit.ask("Lost?")
    await expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")


async def test_an_unreachable_service_is_reported(visit: Visit, page: Page) -> None:
    """The network fails without a response."""
    await expect(page.locator("#service")).to_contain_text("scripted/model")
    await page.context.set_offline(True)
    await visit.ask()
    await expect(page.get_by_role("alert")).to_contain_text("can\u2019t be reached")
    await expect(page.locator("#idle")).to_be_visible()
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    visit.errors.clear()  # the browser logs the failed request


async def test_a_proxys_error_page_is_not_shown(visit: Visit, page: Page) -> None:
    """A 502 with HTML gets the page's own message."""
    await visit.ask("Proxy?")
    await expect(page.get_by_role("alert")).to_contain_text("The service failed (502)")
    await expect(page.get_by_role("alert")).not_to_contain_text("Bad Gateway")


async def test_the_key_field_appears_only_when_a_key_is_required(
    visit: Visit, page: Page, script: Script
) -> None:
    """The field is hidden at first and appears after the first 401; the tab keeps the key, and curl leaves it out."""
    field = page.get_by_label("API key")
    await expect(page.locator("#service")).to_contain_text("scripted/model")
    await expect(field).to_be_hidden()
    script.key = "s3cret"
    await visit.ask()
    await expect(field).to_be_focused()
    await expect(page.get_by_role("alert")).to_contain_text("An API key is needed")
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("This API key is not accepted")
    await field.fill("s3cret")
    await page.keyboard.press("Enter")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    assert script.keys == ["Bearer s3cret"]
    await page.reload()
    await expect(page.locator("#service")).to_contain_text("scripted/model")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await page.get_by_role("button", name="Copy as curl").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    command = await visit.clipboard()
    assert "$MCQ_API_KEY" in command
    assert "s3cret" not in command + page.url


async def test_a_page_without_the_required_key_asks_for_it_at_once(
    visit: Visit, page: Page, script: Script
) -> None:
    """The request for the service's description fails, too."""
    script.key = "s3cret"
    await page.reload()
    await expect(page.locator("#service")).to_contain_text("An API key is needed")
    await page.get_by_label("API key").fill("s3cret")
    await page.keyboard.press("Tab")
    await expect(page.locator("#service")).to_contain_text("scripted/model")


async def test_the_page_shows_the_models_load_progress(visit: Visit, page: Page, script: Script) -> None:
    """The page updates during the load and after it, without a reload."""
    script.lifecycle = fetching()
    await page.reload()
    await expect(page.locator("#service")).to_have_text("Fetching 42%: 630 of 1500 MB.")
    script.lifecycle = ready()
    await expect(page.locator("#service")).to_have_text("scripted/model")
