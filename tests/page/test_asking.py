"""Asking a question on the page: the modes, the answer, its reasoning and its cancellation."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from tests.page.browsing import CHOICES, QUESTION, Visit
from tests.page.scripted import REASONING, TRACE, Script

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_explained_answer_shows_all_its_parts(visit: Visit, page: Page, script: Script) -> None:
    """The page shows the choice, bars, reasoning, time, tokens and the link to the trace."""
    await visit.ask()
    verdict = page.locator("#verdict")
    await expect(verdict).to_contain_text("Jupiter")
    await expect(verdict).to_contain_text("70% confident, 60 points ahead of A")
    await expect(page.locator("#bars li")).to_have_text(
        [
            re.compile("A.*Mercury.*10%"),
            re.compile("B.*Earth"),
            re.compile("C.*Jupiter.*70%"),
            re.compile("D"),
        ]
    )
    await expect(page.locator("#reasoning-text")).to_have_text(REASONING)
    facts = page.locator("#facts")
    await expect(facts).to_contain_text("214 ms to the answer, 1.32 s in all, 3 ms of it waiting")
    await expect(facts).to_contain_text("1,184 read (152 from the cache), 31 written")
    await expect(page.get_by_role("link", name=TRACE)).to_have_attribute(
        "href", f"http://jaeger.example:16686/trace/{TRACE}"
    )
    assert script.bodies == [
        {"question": QUESTION, "choices": list(CHOICES), "mode": "explain", "stream": True}
    ]
    assert visit.foreign == []


async def test_the_bars_are_as_long_as_the_probabilities(visit: Visit, page: Page) -> None:
    """The bars are measured on the screen after their animation."""
    await visit.ask()
    chosen = page.locator("#bars .chosen .fill")
    await expect(chosen).to_have_js_property("style.width", "70%")
    await page.wait_for_timeout(700)
    widths = await page.locator("#bars .bar").evaluate_all(
        "bars => bars.map(bar => bar.firstChild.offsetWidth / bar.offsetWidth)"
    )
    assert widths == pytest.approx([0.1, 0.1, 0.7, 0.1], abs=0.01)


@pytest.mark.parametrize("mode", ["Answer", "Explain", "Reason"])
async def test_each_mode_is_sent_by_its_name(visit: Visit, page: Page, script: Script, mode: str) -> None:
    """All three modes end with the answer and its statistics."""
    await page.get_by_role("radio", name=mode).check()
    await visit.ask()
    await expect(page.locator("#facts")).to_contain_text("scripted/model")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    assert script.bodies[0]["mode"] == mode.lower()
    await expect(page.locator("#reasoning")).to_be_visible(visible=mode != "Answer")


async def test_the_answer_appears_before_the_reasoning_ends(visit: Visit, page: Page, script: Script) -> None:
    """In mode explain the answer and the first words arrive before the end of the stream."""
    await visit.ask("Slow question?")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await expect(page.locator("#reasoning-text")).to_have_text("Jupiter turns once ")
    await expect(page.locator("#result")).to_have_attribute("aria-busy", "true")
    script.resume.set()
    await expect(page.locator("#reasoning-text")).to_have_text(REASONING)
    await expect(page.locator("#result")).to_have_attribute("aria-busy", "false")


async def test_escape_stops_the_request_and_keeps_the_partial_answer(
    visit: Visit, page: Page, script: Script
) -> None:
    """The server notices that the client left, and the page can ask again at once."""
    await visit.ask("Slow question?")
    await expect(page.locator("#reasoning-text")).to_have_text("Jupiter turns once ")
    await page.keyboard.press("Escape")
    await expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await expect(page.locator("#reasoning-text")).to_have_text("Jupiter turns once ")
    await expect(page.locator("#problem")).to_be_empty()
    assert script.left.wait(10)
    await visit.ask()
    await expect(page.locator("#facts")).to_contain_text("scripted/model")


async def test_the_stop_button_gives_the_focus_back(visit: Visit, page: Page) -> None:
    """The focused button disappears with the request, and the focus must stay on the page."""
    await visit.ask("Slow question?")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Ask")).to_be_focused()


async def test_only_one_request_runs_at_a_time(visit: Visit, page: Page, script: Script) -> None:
    """A second request during the first does nothing."""
    await visit.ask("Slow question?")
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    await page.keyboard.press("Control+Enter")
    await page.get_by_role("button", name="Ask").click(force=True)
    script.resume.set()
    await expect(page.locator("#facts")).to_contain_text("scripted/model")
    assert len(script.bodies) == 1


async def test_an_abstention_is_shown_with_its_bars(visit: Visit, page: Page, script: Script) -> None:
    """The form takes the minimum confidence in per cent and sends a share."""
    await page.get_by_text("Options").click()
    await page.get_by_label("Minimum confidence").fill("90")
    await page.get_by_label("Maximum reasoning").fill("40")
    await visit.ask()
    await expect(page.locator("#verdict")).to_contain_text("Not sure enough to answer")
    await expect(page.locator("#verdict")).to_contain_text(
        "C comes first with 70%, below the minimum of 90%."
    )
    await expect(page.locator("#bars li")).to_have_count(4)
    await expect(page.locator("#bars .chosen")).to_have_count(0)
    assert (script.bodies[0]["min_confidence"], script.bodies[0]["max_reasoning_tokens"]) == (0.9, 40)


async def test_an_escalated_answer_shows_the_model_that_was_asked_first(visit: Visit, page: Page) -> None:
    """Other answers show only the model that answered."""
    await visit.ask("Escalated question?")
    await expect(page.locator("#facts")).to_contain_text("scripted/model")
    await expect(page.locator("#facts")).to_contain_text("small/model, only 41% confident")
    await visit.ask()
    await expect(page.locator("#facts")).not_to_contain_text("Asked first")


async def test_text_is_never_rendered_as_markup(visit: Visit, page: Page) -> None:
    """Neither the client's text nor the model's becomes markup."""
    markup = "<img src=x onerror=alert(1)>"
    await visit.ask("Markup?", ["<b>one</b>", "two", markup])
    await expect(page.locator("#verdict .text")).to_contain_text(markup)
    await expect(page.locator("#reasoning-text")).to_contain_text("<b>bold</b> & <script>")
    assert await page.locator("#result :is(b, img, script)").count() == 0
    assert "owned" not in await page.title()


async def test_an_example_is_filled_in_and_asked(page: Page, script: Script) -> None:
    """One click leads from an empty page to an answer."""
    await page.get_by_role("button", name="A train covers 180 km").click()
    await expect(page.locator("#facts")).to_contain_text("scripted/model")
    assert script.bodies[0]["mode"] == "reason"
    await expect(page.get_by_label("Choice B", exact=True)).to_have_value("80 km/h")


async def test_the_answer_is_announced(visit: Visit, page: Page) -> None:
    """A screen reader gets the choice, its confidence and the reasoning once."""
    await visit.ask()
    status = page.get_by_role("status")
    await expect(status).to_have_text(f"Answer C: Jupiter. 70% confident. Reasoning: {REASONING}")


@pytest_asyncio.fixture(loop_scope="session")
async def options(visit: Visit, page: Page) -> None:
    """Open the options."""
    await page.get_by_text("Options").click()


@pytest.mark.usefixtures("options")
async def test_a_passage_is_sent_with_the_question(visit: Visit, page: Page, script: Script) -> None:
    await page.get_by_label("Text to answer from").fill("Jupiter turns in ten hours.")
    await visit.ask()
    await expect(page.locator("#verdict")).to_contain_text("Jupiter")
    assert script.bodies[0]["context"] == "Jupiter turns in ten hours."


@pytest.mark.usefixtures("options")
async def test_all_right_choices_are_shown(visit: Visit, page: Page, script: Script) -> None:
    """Each has its own probability; several bars are marked."""
    await page.get_by_role("radio", name="Any number").check()
    await visit.ask()
    await expect(page.locator("#verdict .text")).to_have_text("2: A: Mercury\nD: Neptune")
    await expect(page.locator("#verdict .sure")).to_contain_text("the least certain one with 60%")
    await expect(page.locator("#bars .chosen")).to_have_text(
        [re.compile("A.*Mercury.*80%"), re.compile("D.*Neptune.*80%")]
    )
    assert script.bodies[0]["select"] == "all"


@pytest.mark.usefixtures("options")
async def test_no_choice_may_be_right(visit: Visit, page: Page, script: Script) -> None:
    """With any number of right choices, and as a way out beside one."""
    await page.get_by_role("radio", name="Any number").check()
    await visit.ask("Nothing fits?")
    await expect(page.locator("#verdict .text")).to_have_text("0: None of these")
    await page.get_by_role("radio", name="One or none").check()
    await visit.ask()
    await expect(page.locator("#verdict .text")).to_have_text("E: None of these")
    await expect(page.locator("#bars .chosen")).to_have_text(re.compile("E.*None of these.*90%"))
    assert script.bodies[1]["none_of_these"] is True
    assert "select" not in script.bodies[1]


@pytest.mark.usefixtures("options")
async def test_an_uncertain_judgement_is_shown(visit: Visit, page: Page) -> None:
    await page.get_by_role("radio", name="Any number").check()
    await page.get_by_label("Minimum confidence").fill("90")
    await visit.ask()
    await expect(page.locator("#verdict")).to_contain_text(
        "The least certain judgement has 60%, below the minimum of 90%."
    )


@pytest.mark.usefixtures("options")
async def test_any_number_of_choices_needs_another_mode_than_reason(
    visit: Visit, page: Page, script: Script
) -> None:
    """The page says so before it asks; the error disappears with another mode."""
    await page.get_by_role("radio", name="Any number").check()
    await page.get_by_role("radio", name="Reason").check()
    await visit.ask()
    await expect(page.locator("#select-error")).to_contain_text("be found in the mode Reason")
    assert script.bodies == []
    await page.get_by_role("radio", name="Explain").check()
    await expect(page.locator("#select-error")).to_be_hidden()


async def test_a_link_has_the_passage_and_the_number_of_right_choices(visit: Visit, page: Page) -> None:
    """Opened, it shows them."""
    await visit.open("/#q=Which%3F&c=a&c=b&x=A+text.&s=all")
    await expect(page.get_by_label("Text to answer from")).to_have_value("A text.")
    await expect(page.get_by_role("radio", name="Any number")).to_be_checked()
    await page.get_by_label("Text to answer from").fill("Another.")
    await expect(page).to_have_url(re.compile("x=Another.&s=all"))
