"""The page's modules by themselves, in the browser that runs them."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

SPLIT = "async text => (await import('/page/split.js')).split(text)"
EVENTS = """async chunks => {
  const { events } = await import('/page/sse.js');
  const bytes = new Uint8Array(chunks);
  const found = [];
  const pull = { at: 0 };
  const body = new ReadableStream({ pull(to) {
    if (pull.at === bytes.length) to.close();
    else to.enqueue(bytes.slice(pull.at, ++pull.at));
  } });
  for await (const event of events(body)) found.push([event.event, event.data]);
  return found;
}"""


@pytest.mark.parametrize(
    ("block", "question", "choices"),
    [
        ("Q?\nA) x\nB) y", "Q?", ["x", "y"]),
        ("Q?\nA. x\nB. y", "Q?", ["x", "y"]),
        ("Q?\n(A) x\n(B) y", "Q?", ["x", "y"]),
        ("Q?\na) x\nb) y\nc) z", "Q?", ["x", "y", "z"]),
        ("Q?\na. x\nb. y", "Q?", ["x", "y"]),
        ("Q?\nA: x\nB: y", "Q?", ["x", "y"]),
        ("Q?\r\n  A)\tx\r\n  B)\ty\r\n", "Q?", ["x", "y"]),
        ("Q?\n\n- A) x\n- B) y", "Q?", ["x", "y"]),
        ("Q? A) x y B) z (C) C) w", "Q?", ["x y", "z (C)", "w"]),
        ("Q? (a) x (b) y", "Q?", ["x", "y"]),
        ("Q? A. x B. y C. z", "Q?", ["x", "y", "z"]),
        ("Q?\nA) two\nlines\nB) y\n\n   more", "Q?", ["two\nlines", "y\n\n   more"]),
        ("A) x\nB) y", "", ["x", "y"]),
        ("Question 7: Q?\nA) x\nB) y\nAnswer: B", "Q?", ["x", "y"]),
        ("Given A) and B), which?\nA) x\nB) y\nC) z", "Given A) and B), which?", ["x", "y", "z"]),
        ("Is f(a) odd?\nA) x = (b) y\nB) no", "Is f(a) odd?", ["x = (b) y", "no"]),
        ("Q?\nA) a. one\nB) b. two", "Q?", ["a. one", "b. two"]),
        ("¿Qué?\nA) ½\nB) 是", "¿Qué?", ["½", "是"]),
    ],
)
async def test_a_block_is_taken_apart(page: Page, block: str, question: str, choices: list[str]) -> None:
    """Every common way of marking choices; a choice may have several lines."""
    assert await page.evaluate(SPLIT, block) == {"question": question, "choices": choices}


@pytest.mark.parametrize(
    "text",
    [
        "", "Plain.", "A) only one", "B) x\nC) y", "Mr. A. B. Smith wrote to C. D.", "f(a) and f(b)", "A)x\nB)y",
        "Q?\nA) x\nB)\nC) z", "Vitamin a. Then b. Then c. Then d.",
    ],
)  # fmt: skip
async def test_other_text_is_left_alone(page: Page, text: str) -> None:
    """Fewer than two choices, letters that are part of a sentence, a mark without a choice."""
    assert await page.evaluate(SPLIT, text) is None


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("event: a\ndata: 1\n\n", [["a", "1"]]),
        ("event: a\r\ndata: 1\r\n\r\nevent: b\r\ndata: 2\r\n\r\n", [["a", "1"], ["b", "2"]]),
        (": comment\n\ndata:1\ndata: 2\n\n", [["message", "1\n2"]]),
        ("id: 5\nretry: 3\ndata: x: y\n\n", [["message", "x: y"]]),
        ("data: é是😀\n\n", [["message", "é是😀"]]),
        ("event: a\ndata: cut off", []),
        ("event: a\n\n", []),
    ],
)
async def test_events_are_read_however_they_are_cut(page: Page, sent: str, found: list[Any]) -> None:
    """One byte at a time: in the middle of a character, of a line break, of a field."""
    assert await page.evaluate(EVENTS, list(sent.encode())) == found
