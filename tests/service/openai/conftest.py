"""A replica on a scripted engine for the tests of the OpenAI-compatible API."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from tests.service.fakes import Replica
from tests.service.local import local_replica
from tests.service.scripted import ScriptedEngine

from mcq_service.engine import Tokenizer

WRITTEN = "so it is."


@pytest.fixture
def unloaded(engine: ScriptedEngine, tokenizer: Tokenizer) -> Iterator[Replica]:
    with local_replica(engine, tokenizer, writes=WRITTEN) as ready:
        yield ready


@pytest.fixture
async def client(unloaded: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a replica with a model that writes "so it is." and ends its turn."""
    unloaded.load()
    async with unloaded.client() as ready:
        yield ready
