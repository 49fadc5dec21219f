"""A steady load through the Ingress: bounded in rate, and every request counted."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from hack.ask import PATH, QUESTION

if TYPE_CHECKING:
    from types import TracebackType

INGRESS = "http://127.0.0.1:8080"
CLIENTS = 8


@dataclass
class Load:
    """Asks from CLIENTS clients at once, each its next question when it has the answer, until the block ends.

    `lost` has what became of each request that was not answered, or not by `label` if there is one.
    """

    host: str
    mode: str = "answer"
    label: str | None = "B"
    answered: int = 0
    lost: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        """Start to ask."""
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more, and wait for what was asked."""
        self._stop.set()
        self._thread.join()

    async def _ask(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            await asyncio.gather(*(self._client(session) for _ in range(CLIENTS)))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        body = json.dumps({**QUESTION, "mode": self.mode, "debias": "none"})
        headers = {"Host": self.host, "Content-Type": "application/json"}
        while not self._stop.is_set():
            at = time.monotonic() - self._started
            try:
                async with session.post(INGRESS + PATH, data=body, headers=headers) as response:
                    text = await response.text()
                    label = json.loads(text)["answer"]["label"] if response.status == 200 else ""
                    if label and label == (self.label or label):
                        self.answered += 1
                    else:
                        self.lost.append(f"{at:.1f} s: {response.status} {text[:200]}")
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                self.lost.append(f"{at:.1f} s: {error!r}")
            await asyncio.sleep(0.02)
