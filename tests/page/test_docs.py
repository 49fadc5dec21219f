"""The API reference page, and the requests that it sends."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from tests.page.browsing import Visit
from tests.page.scripted import Script, serving
from tests.service.fakes import Replica

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def reference(browser: Browser) -> AsyncIterator[Visit]:
    """Yield the reference page of the real service's schema, with a scripted model."""
    replica = Replica()
    replica.load()
    with serving(replica.app) as url:
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        visit = Visit(await context.new_page(), url)
        await visit.open("/docs")
        yield visit
        await context.close()
    replica.close()
    assert visit.errors == []


async def test_the_reference_has_every_operation_and_schema(reference: Visit) -> None:
    """The reference has everything in /openapi.json and sends no request to another address."""
    page = reference.page
    await expect(page.locator("#operations h2").first).to_be_visible()
    response = await page.request.get(f"{reference.url}/openapi.json")
    document = await response.json()
    operations = [f"{verb.upper()}{path}" for path, verbs in document["paths"].items() for verb in verbs]
    assert await page.locator("#operations h2").all_inner_texts() == operations
    names = await page.locator("#schema-list h2").all_inner_texts()
    assert names == list(document["components"]["schemas"])
    assert reference.foreign == []


async def test_an_operation_can_be_tried(reference: Visit) -> None:
    """The unchanged example body gets an answer, and curl shows the same request."""
    page = reference.page
    section = page.locator("#post-api-v1-mcq-answer")
    await section.get_by_text("Try it").click()
    body = json.loads(await section.get_by_role("textbox").input_value())
    assert body["choices"]
    await expect(section.get_by_text("curl -X POST")).to_contain_text(f"{reference.url}/api/v1/mcq/answer")
    await section.get_by_role("button", name="Send").click()
    await expect(section).to_contain_text("200 OK in")
    await expect(section.locator("pre").last).to_contain_text('"probabilities"')


async def test_an_operation_with_a_parameter_in_its_path_can_be_tried(reference: Visit) -> None:
    """Its value goes into the path, and curl shows the same request."""
    section = reference.page.locator("#get-v1-models-model-")
    await section.get_by_text("Try it").click()
    await section.get_by_role("textbox", name="model").fill("fake/model")
    await expect(section.get_by_text("curl '")).to_contain_text(f"{reference.url}/v1/models/fake/model'")
    await section.get_by_role("button", name="Send").click()
    await expect(section).to_contain_text("200 OK in")


async def test_the_reference_has_links_to_its_sections(reference: Visit) -> None:
    """The browser jumps to the fragment once the reference is rendered."""
    await reference.open("/docs#schema-Problem")
    await expect(reference.page.locator("#schema-Problem")).to_be_in_viewport()


async def test_the_reference_asks_for_a_required_key(visit: Visit, page: Page, script: Script) -> None:
    """Only its requests need the key; the reference itself does not."""
    await visit.open("/docs")
    script.key = "s3cret"
    section = page.locator("#get-api-v1-service")
    await section.get_by_text("Try it").click()
    await section.get_by_role("button", name="Send").click()
    await expect(section).to_contain_text("401 Unauthorized")
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type("s3cret")
    await page.keyboard.press("Tab")
    await section.get_by_role("button", name="Send").click()
    await expect(section).to_contain_text("200 OK in")
