"""The real promtool and amtool, built once from their Go modules."""

from pathlib import Path

import pytest
from hack.cluster.paths import CACHE
from hack.cluster.progress import Progress
from hack.cluster.tools import Tools


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The programs."""
    made = Tools(CACHE, Progress())
    made.build(["prometheus", "alertmanager", "kubernetes"])
    return made


@pytest.fixture(scope="session")
def promtool(tools: Tools) -> Path:
    """The program that tests rules."""
    return tools.binary("prometheus", "promtool")
