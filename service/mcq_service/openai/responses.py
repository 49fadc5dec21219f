"""What completions and chats say of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.api.openai.schemas import CachedTokens, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel

    from mcq_service.engine import Tokenizer, Tokens


def spelled(token: int, tokenizer: Tokenizer) -> str:
    r"""A token's text; one that is but a part of a character is written as OpenAI does: `bytes:\xe2\x82`."""
    raw = tokenizer.spelling(token)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def usage(counts: Sequence[Tokens]) -> Usage:
    """The tokens of all prompts of a request."""
    prompt, completion = sum(each.prompt for each in counts), sum(each.completion for each in counts)
    cached = CachedTokens(cached_tokens=sum(each.cached for each in counts))
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion,
        prompt_tokens_details=cached,
    )  # fmt: skip


def with_fields(model: BaseModel, **fields: str) -> str:
    """The model's JSON, with the JSON of these fields in place of what it has in them."""
    rest = model.model_dump_json(exclude=set(fields)).removesuffix("}")
    return rest + "".join(f',"{name}":{value}' for name, value in fields.items()) + "}"


def array(items: Iterable[str]) -> str:
    """A list of values that are JSON already."""
    return f"[{','.join(items)}]"
