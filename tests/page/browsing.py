"""A user's actions on the page, and the visible result."""

import re
from collections.abc import Sequence

from playwright.async_api import ConsoleMessage, Locator, Page, Request, expect

QUESTION = "Which planet has the shortest day?"
CHOICES = ("Mercury", "Earth", "Jupiter", "Neptune")
# The browser logs every response that is not 2xx, but those are no errors of the page.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of \d+")

expect.set_options(timeout=5_000)


class Visit:
    """The tab of one user; `errors` has its errors, `foreign` its requests to other addresses."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._logged)
        page.on("request", self._requested)

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not REFUSED.match(message.text):
            self.errors.append(message.text)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.url}{path}")

    async def write(self, question: str = QUESTION, choices: Sequence[str] = CHOICES) -> None:
        """Fill in the form, with one row per choice."""
        await self.page.get_by_label("Question", exact=True).fill(question)
        for index, choice in enumerate(choices):
            area = self.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index])
            if not await area.count():
                await self.page.get_by_role("button", name="Add a choice").click()
            await area.fill(choice)

    async def ask(self, question: str = QUESTION, choices: Sequence[str] = CHOICES) -> None:
        await self.write(question, choices)
        await self.page.get_by_role("button", name="Ask").click()

    async def paste(self, text: str) -> None:
        """Copy the text to the clipboard and press Ctrl+V in the focused element."""
        await self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        await self.page.keyboard.press("Control+V")

    async def clipboard(self) -> str:
        text: str = await self.page.evaluate("() => navigator.clipboard.readText()")
        return text

    async def choices(self) -> list[str]:
        """Return the texts of the rows."""
        texts: list[str] = await self.page.locator("#choice-list textarea").evaluate_all(
            "areas => areas.map(area => area.value)"
        )
        return texts

    def choice(self, label: str) -> Locator:
        return self.page.get_by_label(f"Choice {label}", exact=True)
