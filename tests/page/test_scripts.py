"""The page's modules alone, in a real browser."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

SPLIT = "async text => (await import('/page/split.js')).split(text)"
EVENTS = """async chunks => {
  const { events } = await import('/page/sse.js');
  const bytes = new Uint8Array(chunks);
  const received = [];
  const pull = { at: 0 };
  const body = new ReadableStream({ pull(to) {
    if (pull.at === bytes.length) to.close();
    else to.enqueue(bytes.slice(pull.at, ++pull.at));
  } });
  for await (const event of events(body)) received.push([event.event, event.data]);
  return received;
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
        # no space between the mark and the choice, and marks of other scripts
        ("Q?\n(A)3\n(B)4", "Q?", ["3", "4"]),
        ("Q?\nA)3\nB)4", "Q?", ["3", "4"]),
        ("Q?\nA.3\nB.4", "Q?", ["3", "4"]),
        ("Q? (A)3 (B)4", "Q?", ["3", "4"]),
        ("Q?\nA、甲\nB、乙", "Q?", ["甲", "乙"]),
        ("Q?\n（A）甲\n（B）乙", "Q?", ["甲", "乙"]),
        ("哪个？A．甲B．乙C．丙", "哪个？", ["甲", "乙", "丙"]),
        # a word before the mark
        ("Q?\nOption A: x\nOption B: y", "Q?", ["x", "y"]),
        ("Q? Option A: x Option B: y Option C: z", "Q?", ["x", "y", "z"]),
        # a solution below the choices
        ("Q?\nA) x\nB) y\n\nExplanation: because\nof that.", "Q?", ["x", "y"]),
        ("Q?\nA) x\nB) y\nCorrect answer: B\nExplanation: z", "Q?", ["x", "y"]),
        ("Q?\nA) x\nB) y\nThe correct answer is B.", "Q?", ["x", "y"]),
        ("Q?\nA、x\nB、y\n答案：B", "Q?", ["x", "y"]),
        ("Q? A) x B) y Answer: B", "Q?", ["x", "y"]),
        # letters within prose
        ("Which? A. Vitamin A. B. Vitamin B. C. Vitamin C.", "Which?", ["Vitamin A.", "Vitamin B.", "Vitamin C."]),
        ("Has vitamin A. or B. what?\nA) liver\nB) rice", "Has vitamin A. or B. what?", ["liver", "rice"]),
        ("What is 2+2 A) 3 B) 4 C) 5", "What is 2+2", ["3", "4", "5"]),
    ],
)  # fmt: skip
async def test_a_block_is_split_into_question_and_choices(
    page: Page, block: str, question: str, choices: list[str]
) -> None:
    """Every common mark of choices is known, and a choice may have several lines."""
    assert await page.evaluate(SPLIT, block) == {"question": question, "choices": choices}


@pytest.mark.parametrize(
    "text",
    [
        "", "Plain.", "A) only one", "B) x\nC) y", "Mr. A. B. Smith wrote to C. D.", "f(a) and f(b)",
        "Q?\nA) x\nB)\nC) z", "Vitamin a. Then b. Then c. Then d.", "Eat vitamin A. Vitamin B. Vitamin C. and iron.",
        "Compare option A) and option B) by cost.", "Hepatitis A) and hepatitis B) and hepatitis C) differ.",
        "U.S.A. and B.B.C. news",
    ],
)  # fmt: skip
async def test_other_text_is_not_split(page: Page, text: str) -> None:
    """Such text has fewer than two choices, letters in a sentence, or a mark without a choice."""
    assert await page.evaluate(SPLIT, text) is None


@pytest.mark.parametrize(
    ("sent", "expected"),
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
async def test_events_are_read_in_any_fragments(page: Page, sent: str, expected: list[Any]) -> None:
    """Events arrive one byte at a time, split within a character, a line break and a field."""
    assert await page.evaluate(EVENTS, list(sent.encode())) == expected
