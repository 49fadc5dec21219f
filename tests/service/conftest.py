"""Fixtures for the service tests: the model store, the default model, a replica and its client."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from tests.service.fakes import Replica
from tests.service.local import small_tokenizer
from tests.service.scripted import ScriptedEngine

from mcq_service.engine import Tokenizer
from mcq_service.model_store import ModelRef, PreparedModel, Store
from mcq_service.model_store.catalogue import DEFAULT_URI


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """Return the developers' model store, so that each machine fetches the default model once."""
    return Path(os.environ.get("MCQ_CACHE") or Path.home() / ".cache/mcq-operator") / "models"


@pytest.fixture(scope="session")
def prepared_model(model_cache: Path) -> PreparedModel:
    """Return the default model."""
    return Store(model_cache).ensure(ModelRef(DEFAULT_URI))


@pytest.fixture
def replica() -> Iterator[Replica]:
    """Return a replica on a scripted engine, not loaded yet."""
    instance = Replica()
    yield instance
    instance.close()


@pytest.fixture
async def client(replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with replica.client() as instance:
        yield instance


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Return the tokenizer of a small vocabulary."""
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def engine() -> ScriptedEngine:
    """Return an engine whose scores a test sets."""
    return ScriptedEngine()
