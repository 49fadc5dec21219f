"""JSON of any depth: a tenant can nest a field without a schema up to the API server's 10,000 levels.

Decoders raise RecursionError at about 1,000 levels, and pydantic fails at 255. One such object must not stop the
others. Kubernetes has no field below 100 levels, so everything below becomes null. The API server refuses the objects
that the operator makes of it, and the resource's condition names the field.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

DEEPEST = 100
# The next bracket, or the end, after everything else: strings may have brackets.
_BRACKET = re.compile(rb'(?s)(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]]|\Z)')


def shallow(text: bytes) -> bytes:
    """Return the JSON with null in place of each object and list below the deepest level."""
    if text.count(b"{") + text.count(b"[") <= DEEPEST:
        return text
    kept, depth, start = bytearray(), 0, 0
    for bracket in _BRACKET.finditer(text):
        if bracket[1] in (b"{", b"["):
            depth += 1
            if depth == DEEPEST + 1:
                kept += text[start : bracket.start(1)] + b"null"
        elif bracket[1]:
            if depth == DEEPEST + 1:
                start = bracket.end()
            depth -= 1
    return bytes(kept + text[start:])


def decode_shallow(text: bytes) -> Any:
    """Decode an object that a tenant may have nested deeply. Raises DecodeError."""
    return msgspec.json.decode(shallow(text))


def decode(text: bytes, decoder: Callable[[bytes], Any] = msgspec.json.decode) -> Any:
    """Decode JSON that is rarely deep, and large or frequent: look for deep values only if `decoder` fails.

    Raises DecodeError.
    """
    try:
        return decoder(text)
    except RecursionError:
        return decoder(shallow(text))
