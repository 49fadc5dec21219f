"""A package index for the model store's tests."""

from pathlib import Path

import pytest
from tests.service.model_store import tiny


@pytest.fixture
def index(tmp_path: Path) -> tiny.Index:
    """Return a package index with the tiny model."""
    return tiny.make_index(tmp_path / "index")
