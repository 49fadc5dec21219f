"""Schemas of /v1/decisions. Source: decision_create_params and decision of the client openai 3.57."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    StrictBool,
    StrictStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mcq_service.api.decisions.input_schemas import (
    MAX_ITEMS,
    AnyItem,
    Content,
    conversation_text,
    first_unmatched,
    plain_text,
)
from mcq_service.api.openai.schemas import TextOr
from mcq_service.api.schema_rules import LenientModel, not_blank

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_QUESTIONS = 400
MAX_CHOICES = 255
_MAX_CHARACTERS = 4_000

_Description = Annotated[str, StringConstraints(max_length=_MAX_CHARACTERS)]
_Label = Annotated[_Description, AfterValidator(not_blank)]
_Value = (
    Annotated[StrictStr, StringConstraints(max_length=_MAX_CHARACTERS), AfterValidator(not_blank)]
    | StrictBool
)


class _Question(LenientModel):
    name: str | None = Field(default=None, max_length=256, description="The answer has the same name.")
    instructions: Content

    @property
    def text(self) -> str:
        """The instructions as the model reads them."""
        return plain_text(self.instructions)

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if not plain_text(self.instructions).strip():
            raise PydanticCustomError("blank", "instructions must not be blank")
        return self


class PredicateQuestion(_Question):
    """How likely is it that a statement about the input is true?"""

    type: Literal["predicate"]

    @property
    def text(self) -> str:
        """The question as the model reads it."""
        return truth_question(plain_text(self.instructions))

    @property
    def options(self) -> list[str]:
        """The options as the model reads them, true first."""
        return truth_options()


class OfferedChoice(LenientModel):
    """One choice. A text and a boolean with the same name are distinct."""

    value: _Value
    description: _Description | None = None


class ChoiceQuestion(_Question):
    """Which of the choices fits the input?"""

    type: Literal["choice"]
    choices: list[OfferedChoice] = Field(min_length=2, max_length=MAX_CHOICES)

    @model_validator(mode="after")
    def _choices_are_distinct(self) -> Self:
        _refuse_repeated("choices", [choice.value for choice in self.choices])
        return self

    @property
    def options(self) -> list[str]:
        """The options as the model reads them."""
        texts = {choice.value for choice in self.choices if isinstance(choice.value, str)}

        def name(value: str | bool) -> str:
            if isinstance(value, str):
                return value
            word = "true" if value else "false"
            return f"{word} (a boolean)" if word in texts else word

        return [described(name(choice.value), choice.description) for choice in self.choices]


class OfferedLevel(LenientModel):
    """One level of a scale."""

    label: _Label
    description: _Description | None = None


class ScoreQuestion(_Question):
    """Where is the input on a scale of ordered levels?"""

    type: Literal["score"]
    levels: list[OfferedLevel] = Field(min_length=2, max_length=MAX_CHOICES)

    @model_validator(mode="after")
    def _levels_are_distinct(self) -> Self:
        _refuse_repeated("levels", [level.label for level in self.levels])
        return self

    @property
    def options(self) -> list[str]:
        """The options as the model reads them."""
        return [described(level.label, level.description) for level in self.levels]


Question = PredicateQuestion | ChoiceQuestion | ScoreQuestion
_Input = TextOr[Annotated[list[AnyItem], Field(min_length=1, max_length=MAX_ITEMS)]]


class DecisionRequest(LenientModel):
    """Questions about one input. Fields that steer OpenAI's own cache are accepted and have no effect."""

    model: str | None = Field(default=None, description="The name in /v1/models; any other is refused.")
    input: _Input = Field(
        description="A text, or messages, tool calls and their outputs. Images are refused."
    )
    questions: list[Annotated[Question, Discriminator("type")]] = Field(
        min_length=1, max_length=MAX_QUESTIONS, description="Answered in the same order."
    )

    @property
    def state(self) -> str:
        """The input as the model reads it."""
        return self.input if isinstance(self.input, str) else conversation_text(self.input)

    @model_validator(mode="after")
    def _input_can_be_read(self) -> Self:
        if not isinstance(self.input, str) and (index := first_unmatched(self.input)) is not None:
            raise PydanticCustomError(
                "call_id", "input.{index}.call_id matches no call before it", {"index": index}
            )
        if not self.state.strip():
            raise PydanticCustomError("blank", "input must not be blank")
        return self


def truth_question(instructions: str) -> str:
    """Return the question whether a statement is true; a question stays as it is.

    The model calls nine of ten bare statements true, whatever they say (docs/calibration.md).
    """
    return instructions if instructions.rstrip().endswith("?") else f"Is the following true? {instructions}"


def truth_options(true: str | None = None, false: str | None = None) -> list[str]:
    """Return the two options of a predicate, true first, with their descriptions."""
    return [described("True", true), described("False", false)]


def described(name: str, description: str | None) -> str:
    """Return an option with its description."""
    return f"{name}: {description}" if description else name


def _refuse_repeated(field: str, values: Sequence[str | bool]) -> None:
    seen: set[tuple[type, str | bool]] = set()
    for value in values:
        key = (type(value), unicodedata.normalize("NFC", value) if isinstance(value, str) else value)
        if key in seen:
            details = {"field": field, "value": repr(value)}
            raise PydanticCustomError("repeated", "{field} must be unique: {value} occurs twice", details)
        seen.add(key)


class _Answer(BaseModel):
    name: str | None


class PredicateAnswer(_Answer):
    """How likely the statement is true."""

    type: Literal["predicate"] = "predicate"
    probability: float = Field(ge=0, le=1)


class ChoiceProbability(BaseModel):
    """The probability of one choice."""

    value: _Value
    probability: float = Field(ge=0, le=1)


_CERTAINTY = "How far the largest probability is above an even share of K options: (K p - 1) / (K - 1)."


class ChoiceAnswer(_Answer):
    """The most probable choice."""

    type: Literal["choice"] = "choice"
    choice: _Value
    confidence: float = Field(ge=0, le=1, description=_CERTAINTY)
    probabilities: list[ChoiceProbability] = Field(description="In the order of the choices.")


class LevelProbability(BaseModel):
    """The probability of one level; `value` is its index."""

    label: str
    value: int
    probability: float = Field(ge=0, le=1)


class ScoreAnswer(_Answer):
    """The expected level."""

    type: Literal["score"] = "score"
    score: float = Field(ge=0, description="The mean of the levels' indexes, weighted by probability.")
    confidence: float = Field(ge=0, le=1, description=_CERTAINTY)
    probabilities: list[LevelProbability] = Field(description="In the order of the levels.")


class RefusalAnswer(_Answer):
    """The service abstains: the most probable option is below its minimum confidence."""

    type: Literal["refusal"] = "refusal"


Answer = PredicateAnswer | ChoiceAnswer | ScoreAnswer | RefusalAnswer


class InputTokens(BaseModel):
    """Details of the tokens that were read."""

    cached_tokens: int = Field(description="Tokens that came from the prefix cache.")
    cache_write_tokens: Literal[0] = 0


class OutputTokens(BaseModel):
    """Details of the tokens that were written: none."""

    reasoning_tokens: Literal[0] = 0


class Usage(BaseModel):
    """Tokens of the request. The input's count once, however many questions there are."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: Literal[0] = 0
    output_tokens_details: OutputTokens = OutputTokens()
    total_tokens: int


class Decision(BaseModel):
    """One answer for each question, in order."""

    model: str
    answers: list[Annotated[Answer, Discriminator("type")]]
    usage: Usage
