"""What an engine raises. `api.error_mapping` turns these errors into problems.

PromptTooLong            the prompt and the room for its answer exceed the context
EngineMismatch           the configured engine can't compute with the configured weights
Int8Unavailable          this machine can't run the int8 engine
EngineFailed             another server, used as the engine, failed
├── EngineBusy           it has too much to do
└── EngineRefused        it rejects our requests and will keep doing so: the key, the model or a parameter
"""

from __future__ import annotations


class PromptTooLong(Exception):
    """The prompt and the room for its answer exceed the context; the message gives both in tokens."""


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
    """A remote engine has too much to do; `retry_after` are the seconds to wait, as it wrote them."""

    def __init__(self, message: str, *, retry_after: str) -> None:
        """Refuse with a message."""
        super().__init__(message)
        self.retry_after = retry_after


class EngineRefused(EngineFailed):
    """A remote engine rejects our requests. Repeating them does not help."""
