"""A steady load through the Ingress: a bounded rate, and a count of every request."""

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
    """Send requests from CLIENTS clients during the block, each the next one after the last answer.

    `lost` has the error of each request without an answer; with `label`, also of each with another label.
    """

    host: str
    mode: str = "answer"
    label: str | None = "B"
    answered: int = 0
    lost: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        """Start the clients."""
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clients, and wait for their last answers."""
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
