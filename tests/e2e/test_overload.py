"""Ten times a solver's capacity through the Ingress: the solver refuses most requests and stays healthy."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import pytest
from hack.ask import PATH, QUESTION
from tests.e2e.load import INGRESS, Load

if TYPE_CHECKING:
    from tests.e2e.conftest import Solver

pytestmark = pytest.mark.slow

HOST = "exam.localhost"
OVERLOAD_FACTOR = 10
MEASURED_SECONDS = 20.0
OVERLOAD_SECONDS = 300.0
MAX_REQUESTS_PER_SECOND = 100.0
"""The upper limit of the rate, even if the solver is faster."""


def test_a_tenfold_overload_fails_no_probe_and_loses_no_request(
    solver: Solver,
) -> None:
    """For five minutes every request is answered or refused with Retry-After; none breaks or times out."""
    with Load(HOST) as alone:
        time.sleep(MEASURED_SECONDS)
    assert alone.lost == []
    capacity = alone.answered / MEASURED_SECONDS
    rate = min(OVERLOAD_FACTOR * capacity, MAX_REQUESTS_PER_SECOND)
    outcomes = asyncio.run(_ask(rate, OVERLOAD_SECONDS))
    print(f"{capacity:.2f} answers a second alone; asked {rate:.2f} a second: {dict(outcomes)}")
    assert set(outcomes) <= {"answered", "refused"}
    assert outcomes["refused"] > outcomes["answered"] > 0.5 * capacity * OVERLOAD_SECONDS
    pods = solver.get("pods", "--selector", "app.kubernetes.io/instance=exam")["items"]
    containers = [each for pod in pods for each in pod["status"]["containerStatuses"]]
    assert [each["restartCount"] for each in containers] == [0] * len(containers)
    assert all(each["ready"] for each in containers)
    assert _failed_probes(solver) == []
    solver.wait_ready()
    with Load(HOST) as after:
        time.sleep(5.0)
    assert after.answered
    assert after.lost == []


async def _ask(rate: float, seconds: float) -> Counter[str]:
    """Send questions at a constant rate, without waiting for answers; return the number of each outcome."""
    outcomes: Counter[str] = Counter()
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
        asyncio.TaskGroup() as tasks,
    ):
        started = time.monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            tasks.create_task(_one(session, outcomes, number))
    return outcomes


async def _one(session: aiohttp.ClientSession, outcomes: Counter[str], number: int) -> None:
    # Each question differs, so that no answer comes from the prefix cache.
    question = {**QUESTION, "question": f"{QUESTION['question']} ({number})"}
    body = json.dumps({**question, "mode": "answer"})
    headers = {"Host": HOST, "Content-Type": "application/json"}
    try:
        async with session.post(INGRESS + PATH, data=body, headers=headers) as response:
            if response.status == 200:
                outcomes["answered"] += 1
            elif response.status in (429, 503) and "Retry-After" in response.headers:
                outcomes["refused"] += 1
            else:
                outcomes[f"{response.status} {(await response.text())[:100]}"] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        outcomes[repr(error)[:100]] += 1


def _failed_probes(solver: Solver) -> list[str]:
    """Return the kubelet's messages about failing probes of ready replicas."""
    events = solver.get("events", "--field-selector", "reason=Unhealthy")["items"]
    # A starting replica fails its startup probe as intended.
    return [each["message"] for each in events if "Startup" not in each["message"]]
