"""A replica with the real admission, batcher and tokenizer around a scripted engine; and one behind a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from string import ascii_uppercase

import uvicorn
from tests.service.fakes import Replica
from tests.service.scripted import ScriptedEngine
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers

from mcq_service import connections
from mcq_service.engines import Tokenizer
from mcq_service.scheduling import Batcher, LocalTexts

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"]


def small_tokenizer(folder: Path) -> Tokenizer:
    """One token a byte, one for each letter after a space, and ChatML's control tokens; `!` is token 0."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = [f"Ġ{letter}" for letter in ascii_uppercase]
    vocabulary = {token: number for number, token in enumerate([*alphabet, *letters])}
    encoder = Encoder(models.BPE(vocab=vocabulary, merges=[("Ġ", letter) for letter in ascii_uppercase]))
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    encoder.add_special_tokens(CONTROL)
    encoder.save(str(folder / "tokenizer.json"))
    ends = [encoder.token_to_id("<|im_end|>"), encoder.token_to_id("<|endoftext|>")]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
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
