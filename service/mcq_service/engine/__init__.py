"""What computes: the Engine protocol, the engines behind it, and texts as the use cases see them."""

from mcq_service.engine.base import Engine, Feed, Logits, Output, Sequence
from mcq_service.engine.text_engine import Encoded, EngineFailed, PromptTooLong, Share, Text, Texts, Tokens
from mcq_service.engine.tokenizer import Pieces, Tokenizer

__all__ = [
    "Encoded",
    "Engine",
    "EngineFailed",
    "Feed",
    "Logits",
    "Output",
    "Pieces",
    "PromptTooLong",
    "Sequence",
    "Share",
    "Text",
    "Texts",
    "Tokenizer",
    "Tokens",
]
