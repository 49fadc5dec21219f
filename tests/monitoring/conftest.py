"""The real promtool, built once from its Go module."""

from pathlib import Path

import pytest
from hack.cluster.instance import CACHE
from hack.cluster.progress import Progress
from hack.cluster.tools import Tools


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The program."""
    tools = Tools(CACHE, Progress())
    tools.build(["prometheus"])
    return tools.binary("prometheus", "promtool")
