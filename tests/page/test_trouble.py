import pytest
from playwright.async_api import Page, expect
from tests.page.browsing import Visit
from tests.page.scripted import Script, fetching, ready

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_overload_says_when_to_try_again(visit: Visit, page: Page, script: Script) -> None:
    """Retry-After runs down; then one click asks the same again."""
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


async def test_a_loading_model_is_no_fault_of_the_question(visit: Visit, page: Page) -> None:
    """The service's own words, and when to come back."""
    await visit.ask("Loading?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The model is not ready")
    await expect(alert).to_contain_text("Loading: weights.")
    await expect(alert).to_contain_text("Try again in 5 seconds.")


async def test_a_wrong_field_is_marked_where_it_is(visit: Visit, page: Page) -> None:
    """Each pointer at its field; the first has the focus; writing there takes the mark away."""
    await visit.ask("Bad?")
    wrong = visit.choice("B")
    await expect(wrong).to_be_focused()
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(wrong).to_have_accessible_description("Must not be blank.")
    await expect(page.get_by_label("Least confidence")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_role("alert")).to_contain_text("What must change is marked in the form.")
    await wrong.fill("better")
    await expect(wrong).not_to_have_attribute("aria-invalid", "true")


async def test_an_error_without_a_field_is_shown_in_full(visit: Visit, page: Page) -> None:
    """Nothing is swallowed."""
    await visit.ask("Foreign?")
    await expect(page.get_by_role("alert")).to_contain_text("/extra: not permitted")


async def test_a_problem_in_the_middle_keeps_what_came(visit: Visit, page: Page) -> None:
    """The answer stays; the alert says that it broke off, and why."""
    await visit.ask("Broken?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The answer broke off")
    await expect(alert).to_contain_text("It took too long. Try later.")
    await expect(alert.get_by_role("button", name="Try again")).to_be_visible()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await expect(page.locator("#reasoning-text")).to_have_text("Jupiter turns once ")


async def test_a_stream_that_just_ends_is_a_lost_connection(visit: Visit, page: Page) -> None:
    """No `done`, no `problem`: that is not taken for the whole answer."""
    await visit.ask("Lost?")
    await expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")


async def test_a_service_out_of_reach_is_said_in_plain_words(visit: Visit, page: Page) -> None:
    """The network is gone: no answer at all."""
    await expect(page.locator("#service")).to_contain_text("scripted/model")
    await page.context.set_offline(True)
    await visit.ask()
    await expect(page.get_by_role("alert")).to_contain_text("can\u2019t be reached")
    await expect(page.locator("#idle")).to_be_visible()
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    visit.errors.clear()  # the browser logs the failed request


async def test_a_proxys_page_is_not_shown(visit: Visit, page: Page) -> None:
    """A 502 with HTML in it is told in our words."""
    await visit.ask("Proxy?")
    await expect(page.get_by_role("alert")).to_contain_text("The service failed (502)")
    await expect(page.get_by_role("alert")).not_to_contain_text("Bad Gateway")


async def test_the_key_is_asked_for_only_where_one_is_needed(
    visit: Visit, page: Page, script: Script
) -> None:
    """Hidden at first; shown with the first 401; kept for the tab; left out of curl."""
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


async def test_a_page_opened_without_a_key_asks_for_it_at_once(
    visit: Visit, page: Page, script: Script
) -> None:
    """The service's description is refused too."""
    script.key = "s3cret"
    await page.reload()
    await expect(page.locator("#service")).to_contain_text("An API key is needed")
    await page.get_by_label("API key").fill("s3cret")
    await page.keyboard.press("Tab")
    await expect(page.locator("#service")).to_contain_text("scripted/model")


async def test_the_page_says_how_far_the_model_is(visit: Visit, page: Page, script: Script) -> None:
    """While it loads, and then that it is there, without a reload."""
    script.lifecycle = fetching()
    await page.reload()
    await expect(page.locator("#service")).to_have_text("Fetching 42%: 630 of 1500 MB.")
    script.lifecycle = ready()
    await expect(page.locator("#service")).to_have_text("scripted/model")
