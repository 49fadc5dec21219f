"""OpenAI's completions and chat completions, as far as this service has them.

What a client sends beyond them is ignored, as OpenAI's clients expect of each other's servers; what would change the
meaning of the answer is refused.
"""

from mcq_service.protocol.openai.chat import (
    ChatChoice,
    ChatCompletion,
    ChatLogprobs,
    ChatRequest,
    ChatToken,
    Chunk,
    ChunkChoice,
    Delta,
    Message,
    Reply,
    TextPart,
    TopToken,
)
from mcq_service.protocol.openai.common import (
    MAX_LOGPROBS,
    CachedTokens,
    Failure,
    FailureBody,
    FinishReason,
    Model,
    Models,
    StreamOptions,
    Usage,
)
from mcq_service.protocol.openai.completions import (
    MAX_PROMPTS,
    Completion,
    CompletionChoice,
    CompletionRequest,
    Logprobs,
)

__all__ = [
    "MAX_LOGPROBS",
    "MAX_PROMPTS",
    "CachedTokens",
    "ChatChoice",
    "ChatCompletion",
    "ChatLogprobs",
    "ChatRequest",
    "ChatToken",
    "Chunk",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionRequest",
    "Delta",
    "Failure",
    "FailureBody",
    "FinishReason",
    "Logprobs",
    "Message",
    "Model",
    "Models",
    "Reply",
    "StreamOptions",
    "TextPart",
    "TopToken",
    "Usage",
]
