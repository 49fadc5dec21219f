"""A replica with the real admission, scheduler and tokenizer on a scripted engine, also on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from tests.service.fakes import Replica
from tests.service.scripted import ScriptedEngine
from tests.service.tokens import write_small_tokenizer

from mcq_service.engine import Tokenizer
from mcq_service.runtime import connections
from mcq_service.scheduler import LocalTextEngine, Scheduler


def small_tokenizer(folder: Path) -> Tokenizer:
    """See write_small_tokenizer."""
    write_small_tokenizer(folder)
    return Tokenizer(folder)


@contextmanager
def local_replica(engine: ScriptedEngine, tokenizer: Tokenizer, *, writes: str) -> Iterator[Replica]:
    """Yield an unloaded replica that chooses B and writes this text; at the end all sequences must be closed."""
    engine.context_length = 4096
    engine.vocabulary = tokenizer.vocabulary
    engine.best = tokenizer.label_tokens["B"]
    engine.script = tokenizer.encode_trusted(writes)
    [engine.end, *_] = tokenizer.stop_ids
    scheduler = Scheduler(engine, clock=engine.clock)
    replica = Replica(texts=LocalTextEngine(scheduler, tokenizer))
    try:
        yield replica
        assert scheduler.alive
    finally:
        engine.gate.set()
        scheduler.stop()
        replica.close()
    assert replica.admission.pending == 0


@asynccontextmanager
async def listening(replica: Replica) -> AsyncIterator[str]:
    """Serve the replica on a real socket; yield its URL."""
    async with serving(replica.app) as url:
        yield url


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve the application on a real socket, as a replica does; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(connections.uvicorn_config(app))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
