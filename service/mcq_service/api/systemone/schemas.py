"""Schemas of /v1/systemone. Source: the wire models of the client typesafe-sdk 0.7.5."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mcq_service.api.decisions.input_schemas import json_text
from mcq_service.api.decisions.schemas import MAX_CHOICES, described, truth_options, truth_question
from mcq_service.api.openai.schemas import Text
from mcq_service.api.schema_rules import LenientModel, not_blank

MAX_QUESTIONS = 256
"""The parser's limit on the keys of a map."""

Content = Text | dict[str, Any] | list[Any]
"""A text, or JSON that the model reads as text."""
_Name = Annotated[str, StringConstraints(max_length=256)]
_GivenName = Annotated[_Name, AfterValidator(not_blank)]


def plain_text(content: Content | None) -> str:
    """Return a content as the model reads it."""
    if content is None:
        return ""
    return content if isinstance(content, str) else json_text(content)


class _Question(LenientModel):
    default_text: ClassVar[str] = ""

    instructions: Content | None = None

    @property
    def text(self) -> str:
        """The question as the model reads it."""
        return plain_text(self.instructions).strip() or self.default_text


class NoulCriteria(LenientModel):
    """What counts as yes, and what as no."""

    true: Content | None = None
    false: Content | None = None


class NoulQuestion(_Question):
    """A yes/no question, or a statement."""

    type: Literal["noul"]
    criteria: NoulCriteria | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        criteria = self.criteria or NoulCriteria()
        if self.instructions is None and criteria.true is None and criteria.false is None:
            raise PydanticCustomError("noul", "needs instructions or criteria")
        return self

    @property
    def text(self) -> str:
        """The question as the model reads it."""
        instructions = plain_text(self.instructions).strip()
        return truth_question(instructions) if instructions else "Which is the case?"

    @property
    def options(self) -> list[str]:
        """The options as the model reads them, yes first."""
        criteria = self.criteria or NoulCriteria()
        return truth_options(plain_text(criteria.true), plain_text(criteria.false))


class ChoiceQuestion(_Question):
    """A choice among named options."""

    default_text = "Which choice fits?"

    type: Literal["choice"]
    criteria: dict[_GivenName, Content | None] = Field(min_length=1, max_length=MAX_CHOICES)

    @property
    def options(self) -> list[str]:
        """The options as the model reads them."""
        return [described(name, plain_text(content)) for name, content in self.criteria.items()]


class ScoreQuestion(_Question):
    """A rating on ordered levels; the first is 0."""

    default_text = "Which level fits?"

    type: Literal["score"]
    criteria: list[Content] = Field(min_length=1, max_length=MAX_CHOICES)

    @property
    def options(self) -> list[str]:
        """The options as the model reads them."""
        return [f"{level}: {plain_text(content)}" for level, content in enumerate(self.criteria)]


class BoxQuestion(_Question):
    """A place in an image, which is refused: the model reads text."""

    type: Literal["box"]

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        raise PydanticCustomError("image", "asks about an image: this service's model reads text only")

    @property
    def options(self) -> list[str]:
        """The options as the model reads them."""
        raise AssertionError("it is refused")


Question = NoulQuestion | ChoiceQuestion | ScoreQuestion | BoxQuestion


class SystemOneRequest(LenientModel):
    """Questions about one state, by the names that the client gives them."""

    model: str | None = Field(default=None, description="The name in /v1/models; any other is refused.")
    state: Content
    questions: dict[_Name, Annotated[Question, Discriminator("type")]] = Field(
        min_length=1, max_length=MAX_QUESTIONS
    )
    assets: dict[str, Any] | None = Field(default=None, description="Images are refused.")

    @property
    def text(self) -> str:
        """The state as the model reads it."""
        return plain_text(self.state)

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.assets:
            raise PydanticCustomError("image", "assets has images: this service's model reads text only")
        if not self.text.strip():
            raise PydanticCustomError("blank", "state must not be blank")
        return self


class NoulAnswer(BaseModel):
    """How likely the answer is yes."""

    type: Literal["noul"] = "noul"
    noul: float = Field(ge=0, le=1)


class ChoiceAnswer(BaseModel):
    """The most probable choice; `confidence` is (K p - 1) / (K - 1) of its probability among K choices."""

    type: Literal["choice"] = "choice"
    choice: str
    confidence: float = Field(ge=0, le=1)
    probabilities: dict[str, float]


class ScoreAnswer(BaseModel):
    """The mean level, weighted by probability; `legend` repeats the levels."""

    type: Literal["score"] = "score"
    score: float = Field(ge=0)
    confidence: float = Field(ge=0, le=1)
    legend: dict[str, Content]
    probabilities: dict[str, float]


Answer = NoulAnswer | ChoiceAnswer | ScoreAnswer


class Usage(BaseModel):
    """Tokens of the request. The state's count once, however many questions there are."""

    input_tokens: int
    output_tokens: Literal[0] = 0


class SystemOneResponse(BaseModel):
    """The answers, by the questions' names."""

    model: str
    answers: dict[str, Annotated[Answer, Discriminator("type")]]
    usage: Usage
