"""Parts of responses that completions and chats share: the head, token text, usage, and JSON in pieces."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, TypedDict

from mcq_service.api.openai.schemas import CachedTokens, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from mcq_service.engine import Tokenizer, Tokens


class ResponseHead(TypedDict):
    """The fields that are equal in all chunks of a response."""

    id: str
    created: int
    model: str


def response_head(kind: str, model: str) -> ResponseHead:
    """Return the fields of a new response of a kind."""
    return {"id": f"{kind}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}


def token_text(token: int, tokenizer: Tokenizer) -> str:
    r"""Return a token's text. A part of a character is written as OpenAI does: `bytes:\xe2\x82`."""
    raw = tokenizer.token_bytes(token)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def total_usage(counts: Mapping[int, Tokens], *, texts: int) -> Usage:
    """Sum the tokens of a request's texts. A prompt counts once for all of its `texts`, which are in a row."""
    prompts = [tokens for index, tokens in counts.items() if index % texts == 0]
    prompt, completion = (
        sum(each.prompt for each in prompts),
        sum(each.completion for each in counts.values()),
    )
    cached = CachedTokens(cached_tokens=sum(each.cached for each in prompts))
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion,
        prompt_tokens_details=cached,
    )  # fmt: skip


def json_with_fields(model: BaseModel, **fields: str) -> str:
    """Return the model's JSON with these fields replaced by JSON text.

    Serialising a large response in one call would hold the interpreter's lock for the whole time.
    """
    rest = model.model_dump_json(exclude=set(fields)).removesuffix("}")
    return rest + "".join(f',"{name}":{value}' for name, value in fields.items()) + "}"


def json_array(items: Iterable[str]) -> str:
    """Join JSON values to a JSON array."""
    return f"[{','.join(items)}]"
