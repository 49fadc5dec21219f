"""The input of a decision: a text, or a conversation with tool calls. Source: openai 3.57, decision_input_*."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from mcq_service.api.openai.schemas import Text, TextOr
from mcq_service.api.schema_rules import LenientModel

MAX_ITEMS = 512
MAX_PARTS = 512


class TextPart(LenientModel):
    """A text of a client."""

    text: Text
    type: Literal["input_text"]


class JSONPart(LenientModel):
    """A JSON object, or an array of objects."""

    type: Literal["input_json"]
    data: dict[str, Any] | list[dict[str, Any]]


class ImagePart(LenientModel):
    """An image, which is refused: the model reads text."""

    type: Literal["input_image"]

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        raise PydanticCustomError("image", "is an image: this service's model reads text only")


class OutputPart(LenientModel):
    """A text that an assistant has written."""

    text: Text
    type: Literal["output_text"]


class RefusalPart(LenientModel):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: Text


_Parts = Annotated[TextPart | JSONPart | ImagePart, Discriminator("type")]
_AssistantParts = Annotated[OutputPart | RefusalPart, Discriminator("type")]
_Outputs = Annotated[TextPart | ImagePart, Discriminator("type")]
Content = TextOr[Annotated[list[_Parts], Field(max_length=MAX_PARTS)]]
"""A text, or parts of text, JSON and images."""
_TextContent = TextOr[Annotated[list[TextPart], Field(max_length=MAX_PARTS)]]
_AssistantContent = TextOr[Annotated[list[_AssistantParts], Field(max_length=MAX_PARTS)]]
_Output = TextOr[Annotated[list[_Outputs], Field(max_length=MAX_PARTS)]]


def json_text(data: Any) -> str:
    """Return JSON as the model reads it."""
    return json.dumps(data, ensure_ascii=False)


def plain_text(content: str | list[Any]) -> str:
    """Return a content as the model reads it: its parts follow each other, each on lines of its own."""
    return content if isinstance(content, str) else "\n".join(map(_part_text, content))


def _part_text(part: Any) -> str:
    match part:
        case JSONPart():
            return json_text(part.data)
        case RefusalPart():
            return part.refusal
    text: str = part.text
    return text


class UserMessage(LenientModel):
    """A user's message."""

    type: Literal["message"] = "message"
    role: Literal["user"]
    content: Content


class InstructionMessage(LenientModel):
    """A developer's or the system's message."""

    type: Literal["message"] = "message"
    role: Literal["developer", "system"]
    content: _TextContent


class AssistantMessage(LenientModel):
    """An assistant's message."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: _AssistantContent


class FunctionCall(LenientModel):
    """An assistant's call of a function."""

    type: Literal["function_call"]
    call_id: Text
    name: Text
    arguments: Text


class CustomToolCall(LenientModel):
    """An assistant's call of a custom tool."""

    type: Literal["custom_tool_call"]
    call_id: Text
    name: Text
    input: Text


class CallOutput(LenientModel):
    """The result of a call."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: Text
    output: _Output


Message = UserMessage | InstructionMessage | AssistantMessage
Item = Message | FunctionCall | CustomToolCall | CallOutput


def _kind(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    kind = item.get("type", "message")
    name = item.get("role") if kind == "message" else kind
    return name if isinstance(name, str) else None


AnyItem = Annotated[
    Annotated[UserMessage, Tag("user")]
    | Annotated[InstructionMessage, Tag("developer")]
    | Annotated[InstructionMessage, Tag("system")]
    | Annotated[AssistantMessage, Tag("assistant")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[CustomToolCall, Tag("custom_tool_call")]
    | Annotated[CallOutput, Tag("function_call_output")]
    | Annotated[CallOutput, Tag("custom_tool_call_output")],
    Discriminator(
        _kind,
        custom_error_type="item",
        custom_error_message="must be a message with the role user, developer, system or assistant, a"
        " function_call, a custom_tool_call, or the output of one",
    ),
]


def conversation_text(items: list[Item]) -> str:
    """Return a conversation as the model reads it; a single message of a user is its text alone."""
    if len(items) == 1 and isinstance(items[0], UserMessage):
        return plain_text(items[0].content)
    return "\n\n".join(f"{_speaker(item)}: {_content(item)}" for item in items)


def _speaker(item: Item) -> str:
    match item:
        case FunctionCall() | CustomToolCall():
            return f"Call of {item.name}"
        case CallOutput():
            return "Result"
    return item.role.capitalize()


def _content(item: Item) -> str:
    match item:
        case FunctionCall():
            return item.arguments
        case CustomToolCall():
            return item.input
        case CallOutput():
            return plain_text(item.output)
    return plain_text(item.content)


def first_unmatched(items: list[Item]) -> int | None:
    """Return the index of the first output without its call before it, or None."""
    calls: set[tuple[str, str]] = set()
    for index, item in enumerate(items):
        if isinstance(item, FunctionCall | CustomToolCall):
            calls.add((item.type, item.call_id))
        elif isinstance(item, CallOutput) and (item.type.removesuffix("_output"), item.call_id) not in calls:
            return index
    return None
