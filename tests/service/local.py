"""A replica with the real admission, batcher and tokenizer around a scripted engine; and one behind a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from tests.service.fakes import Replica
from tests.service.scripted import ScriptedEngine
from tests.service.tokens import write_small_tokenizer

from mcq_service.engine import Tokenizer
from mcq_service.runtime import connections
from mcq_service.scheduler import Batcher, LocalTexts


def small_tokenizer(folder: Path) -> Tokenizer:
    """See write_small_tokenizer."""
    write_small_tokenizer(folder)
    return Tokenizer(folder)


@contextmanager
def local_replica(engine: ScriptedEngine, tokenizer: Tokenizer, *, writes: str) -> Iterator[Replica]:
    """It chooses B and writes this text; not loaded yet. At the end, every sequence must have been closed."""
    engine.context_length = 4096
    engine.vocabulary = tokenizer.vocabulary
    engine.best = tokenizer.letters["B"]
    engine.script = tokenizer.ours(writes)
    [engine.end, *_] = tokenizer.stop_ids
    batcher = Batcher(engine)
    replica = Replica(texts=LocalTexts(batcher, tokenizer))
    try:
        yield replica
        assert batcher.alive
    finally:
        engine.gate.set()
        batcher.stop()
        replica.close()
    assert replica.admission.pending == 0


@asynccontextmanager
async def listening(replica: Replica) -> AsyncIterator[str]:
    """The replica's URL on a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(connections.config(replica.app))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
