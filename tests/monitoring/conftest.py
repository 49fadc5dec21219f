"""Fixtures for the real promtool and amtool, built once from their Go modules."""

from pathlib import Path

import pytest
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Return the tools after building them."""
    tools = Tools(CACHE, Progress())
    tools.build(["prometheus", "alertmanager", "kubernetes"])
    return tools


@pytest.fixture(scope="session")
def promtool(tools: Tools) -> Path:
    """Return the path of the program that tests rules."""
    return tools.binary("prometheus", "promtool")
