"""A small model for the tests of the int8 engine."""

from pathlib import Path

import pytest
from tests.service.tiny_int8 import write_tiny_int8


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a packed model."""
    path = tmp_path_factory.mktemp("tiny-int8")
    write_tiny_int8(path)
    return path
