"""Writing a question on the page: keyboard, paste, links and the copied curl command."""

import asyncio

import pytest
from playwright.async_api import Page, expect
from tests.page.browsing import CHOICES, QUESTION, Visit
from tests.page.scripted import Script

pytestmark = pytest.mark.asyncio(loop_scope="session")

BLOCK = """Which planet has
the shortest day?
A) Mercury
B) Earth,
   our own
C) Jupiter
D) Neptune"""


async def test_choices_can_be_written_with_the_keyboard_alone(
    visit: Visit, page: Page, script: Script
) -> None:
    """Tab moves to the choices, Enter to the next or a new one, and Ctrl+Enter sends."""
    await page.get_by_label("Question", exact=True).focus()
    await page.keyboard.type("Which?")
    await page.keyboard.press("Tab")
    for text in ("one", "two", "three", "four", "five"):
        await page.keyboard.type(text)
        await page.keyboard.press("Enter")
    await expect(visit.choice("F")).to_be_focused()
    await page.keyboard.press("Backspace")
    await expect(visit.choice("E")).to_be_focused()
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("and a half")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#facts")).to_contain_text("scripted/model")
    assert script.bodies[0]["choices"] == ["one", "two", "three", "four", "five\nand a half"]


async def test_choices_are_moved_with_the_keyboard(visit: Visit, page: Page) -> None:
    """Alt and an arrow key move a choice; the focus moves along, and the page announces the move."""
    await visit.write()
    await visit.choice("C").focus()
    await page.keyboard.press("Alt+ArrowUp")
    await page.keyboard.press("Alt+ArrowUp")
    assert await visit.choices() == ["Jupiter", "Mercury", "Earth", "Neptune"]
    await expect(visit.choice("A")).to_be_focused()
    await expect(page.get_by_role("status")).to_have_text("Moved to A.")
    await page.keyboard.press("Alt+ArrowUp")
    await page.keyboard.press("Alt+ArrowDown")
    assert await visit.choices() == ["Mercury", "Jupiter", "Earth", "Neptune"]


async def test_choices_are_moved_and_removed_with_buttons(visit: Visit, page: Page) -> None:
    """Two choices are the minimum."""
    await visit.write()
    await page.get_by_role("button", name="Move choice A down").click()
    assert await visit.choices() == ["Earth", "Mercury", "Jupiter", "Neptune"]
    await page.get_by_role("button", name="Remove choice B").click()
    await page.get_by_role("button", name="Remove choice A").click()
    assert await visit.choices() == ["Jupiter", "Neptune"]
    await expect(page.get_by_role("button", name="Remove choice A")).to_have_attribute(
        "aria-disabled", "true"
    )
    await page.get_by_role("button", name="Remove choice A").click(force=True)
    assert await visit.choices() == ["Jupiter", "Neptune"]


async def test_there_are_at_most_26_choices(visit: Visit, page: Page, script: Script) -> None:
    """The labels run from A to Z; then the page adds no more choices."""
    texts = [f"choice {number}" for number in range(26)]
    await visit.write(QUESTION, texts)
    await expect(page.get_by_role("button", name="Add a choice")).to_be_hidden()
    await visit.choice("Z").press("Enter")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#bars li")).to_have_count(26)
    assert script.bodies[0]["choices"] == texts


async def test_empty_rows_are_left_out(visit: Visit, page: Page, script: Script) -> None:
    """Rows may be empty in the middle and at the end, and the page's labels match the answer's."""
    await visit.ask(QUESTION, ["one", "", "three", ""])
    await expect(page.locator("#bars li")).to_have_count(2)
    assert script.bodies[0]["choices"] == ["one", "three"]
    assert await visit.choices() == ["one", "three"]


async def test_missing_input_is_reported_before_a_request(visit: Visit, page: Page, script: Script) -> None:
    """The focus moves to the first required field."""
    await page.get_by_role("button", name="Ask").click()
    await expect(page.get_by_label("Question", exact=True)).to_be_focused()
    await expect(page.locator("#question-error")).to_have_text("Write a question.")
    await visit.ask(QUESTION, ["only one"])
    await expect(page.locator("#choices-error")).to_have_text("Give at least two choices.")
    await expect(visit.choice("B")).to_be_focused()
    assert script.bodies == []


async def test_a_pasted_block_is_split_and_can_be_restored(visit: Visit, page: Page) -> None:
    """Undo restores the block in one piece, and the previous choices."""
    await visit.write("", ["kept", "as", "they", "were"])
    await page.get_by_label("Question", exact=True).focus()
    await visit.paste(BLOCK)
    question = page.get_by_label("Question", exact=True)
    await expect(question).to_have_value("Which planet has\nthe shortest day?")
    assert await visit.choices() == ["Mercury", "Earth,\n   our own", "Jupiter", "Neptune"]
    await expect(page.locator("#pasted")).to_contain_text("Split into a question and 4 choices.")
    await page.get_by_role("button", name="Undo").click()
    await expect(question).to_have_value(BLOCK)
    assert await visit.choices() == ["kept", "as", "they", "were"]
    await expect(page.locator("#pasted")).to_be_hidden()


async def test_choices_pasted_into_a_choice_keep_the_question(visit: Visit, page: Page) -> None:
    """The clipboard contains only choices."""
    await visit.write(QUESTION, [])
    await visit.choice("A").focus()
    await visit.paste("a) yes\nb) no\nc) perhaps")
    await expect(page.get_by_label("Question", exact=True)).to_have_value(QUESTION)
    assert await visit.choices() == ["yes", "no", "perhaps"]


async def test_ordinary_text_is_pasted_unchanged(visit: Visit, page: Page) -> None:
    """The text has no marks of choices."""
    await page.get_by_label("Question", exact=True).focus()
    await visit.paste("Who wrote “Plan A”? I mean plan B.")
    await expect(page.get_by_label("Question", exact=True)).to_have_value(
        "Who wrote “Plan A”? I mean plan B."
    )


async def test_a_link_has_the_whole_question(visit: Visit, page: Page) -> None:
    """Another tab opens the link with question, choices, mode and options, and sends no request yet."""
    choices = ["x² & y", "50 % = ½", "#3", "line\nbreak"]
    await visit.write("¿Qué? 1+1", choices)
    await page.get_by_role("radio", name="Reason").check()
    await page.get_by_text("Options").click()
    await page.get_by_label("Minimum confidence").fill("60")
    await page.get_by_role("button", name="Copy link").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = await visit.clipboard()
    other = await page.context.new_page()
    await other.goto(link)
    await expect(other.get_by_label("Question", exact=True)).to_have_value("¿Qué? 1+1")
    for label, choice in zip("ABCD", choices, strict=True):
        await expect(other.get_by_label(f"Choice {label}", exact=True)).to_have_value(choice)
    await expect(other.get_by_role("radio", name="Reason")).to_be_checked()
    await expect(other.get_by_label("Minimum confidence")).to_have_value("60")
    await expect(other.locator("#idle")).to_be_visible()


async def test_input_survives_a_reload(visit: Visit, page: Page) -> None:
    """The address contains the input, and a new question clears it."""
    await visit.write()
    await page.reload()
    await expect(page.get_by_label("Question", exact=True)).to_have_value(QUESTION)
    assert await visit.choices() == list(CHOICES)
    await page.get_by_role("button", name="New question").click()
    await expect(page).to_have_url(f"{visit.url}/")
    assert await visit.choices() == [""] * 4


async def test_the_copied_curl_command_sends_the_same_request(
    visit: Visit, page: Page, script: Script
) -> None:
    """A shell runs the command, with all its quotes."""
    await visit.write('Isn\'t "it" $HOME?', ["it's", "not"])
    await page.get_by_role("button", name="Copy as curl").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    process = await asyncio.create_subprocess_shell(
        await visit.clipboard(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    await process.communicate()
    assert process.returncode == 0
    assert script.bodies == [
        {"question": 'Isn\'t "it" $HOME?', "choices": ["it's", "not"], "mode": "explain"}
    ]
