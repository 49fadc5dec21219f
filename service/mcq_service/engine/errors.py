"""The errors that an engine raises. `api.error_mapping` turns them into problems.

PromptTooLong            the prompt and the room for its answer exceed the context
TooManyChoices           the engine has no labels for so many choices
BadSchema                a text can't follow this JSON Schema
EngineMismatch           the configured engine can't compute with the configured weights
Int8Unavailable          this machine can't run the int8 engine
EngineFailed             another server, used as the engine, failed
├── EngineBusy           it is overloaded
└── EngineRefused        it rejects our requests and will keep doing so: the key, the model or a parameter
"""

from __future__ import annotations


class PromptTooLong(Exception):
    """The prompt and the room for its answer exceed the context; the message gives both in tokens.

    LocalTextEngine.check_fits raises it, and an engine on another server.
    """


class TooManyChoices(Exception):
    """The engine has no labels for so many choices; the message gives its limit."""


class BadSchema(Exception):
    """A text can't follow this JSON Schema: it is invalid, too complex, or uses an unsupported keyword."""


class EngineMismatch(Exception):
    """The configured engine can't compute with the configured weights; the message says which settings fit."""


class Int8Unavailable(RuntimeError):
    """This machine can't run the int8 engine; float32 and bfloat16 run on transformers."""


class EngineFailed(Exception):
    """A remote engine did not answer, refused, or sent an unreadable answer; the message says which.

    `server_message` is the server's own text, if any. It may quote the prompt: never log it or send it to clients.
    """

    server_message = ""


class EngineBusy(EngineFailed):
    """A remote engine is overloaded; `retry_after` is the number of seconds to wait, as it sent it."""

    def __init__(self, message: str, *, retry_after: str) -> None:
        """Set the message and the number of seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class EngineRefused(EngineFailed):
    """A remote engine rejects our requests. Repeating them does not help."""
