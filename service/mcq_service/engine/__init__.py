"""Engines: the protocols, the int8 and transformers engines, other servers, and the tokenizer."""

from mcq_service.engine.errors import (
    BadSchema,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    PromptTooLong,
    TooManyChoices,
)
from mcq_service.engine.json_grammar import JSONGrammar, JSONGrammars
from mcq_service.engine.local_engine import BatchItem, Engine, Logits, Output
from mcq_service.engine.text_engine import (
    EncodedPrompt,
    Share,
    SharedPrompts,
    SharedTexts,
    Text,
    TextEngine,
    Tokens,
)
from mcq_service.engine.tokenizer import Tokenizer, TokenStream

__all__ = [
    "BadSchema",
    "BatchItem",
    "EncodedPrompt",
    "Engine",
    "EngineBusy",
    "EngineFailed",
    "EngineRefused",
    "JSONGrammar",
    "JSONGrammars",
    "Logits",
    "Output",
    "PromptTooLong",
    "Share",
    "SharedPrompts",
    "SharedTexts",
    "Text",
    "TextEngine",
    "TokenStream",
    "Tokenizer",
    "Tokens",
    "TooManyChoices",
]
