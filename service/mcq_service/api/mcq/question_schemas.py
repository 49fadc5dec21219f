"""Requests of /api/v1/mcq/answer: a question and how to answer it."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mcq_service.api.mcq.choices import MAX_CHOICES, Label, LetteredChoices, Offered, Option, label_list
from mcq_service.api.schema_rules import not_blank

MAX_CONTEXT_CHARACTERS = 200_000
MAX_INSTRUCTIONS_CHARACTERS = 4_000
MAX_EXAMPLES = 32
MAX_REASONING_TOKENS = 512

Mode = Literal["answer", "explain", "reason"]
Debias = Literal["none", "prior", "rotations"]
Select = Literal["one", "all"]
Language = Literal[
    "ar", "bn", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hu", "id", "it",
    "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh",
]  # fmt: skip
ResponseFormat = Literal["json", "text", "yaml"]
NO_ESCALATION = ("MCQ-Escalation", "none")
"""The header that forbids asking another solver."""
NONE_OF_THESE = "None of these"
SELECT_ALL_IN_MODE_REASON = "select all works in the modes answer and explain: send one of them as mode"


def _no_boolean(value: Any) -> Any:
    """Reject a boolean: Python and pydantic count it as a number."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "must be a number")
    return value


_Context = Annotated[str, StringConstraints(max_length=MAX_CONTEXT_CHARACTERS), AfterValidator(not_blank)]
_Instructions = Annotated[
    str, StringConstraints(max_length=MAX_INSTRUCTIONS_CHARACTERS), AfterValidator(not_blank)
]


class Example(Offered):
    """A question with its answer, for the model to follow."""

    choices: LetteredChoices = Field(
        description="2 to 26 distinct choices: a list, or a map from capital letters."
    )
    answer: Label = Field(description="The label of the right choice; a list is labelled A, B, ….")

    @model_validator(mode="after")
    def _answer_is_offered(self) -> Self:
        labels = [option.label for option in self.options]
        if self.answer not in labels:
            raise PydanticCustomError(
                "example_answer",
                "the answer {answer} is no label of this example's choices: send one of {labels}",
                {"answer": self.answer, "labels": ", ".join(labels)},
            )
        return self


_Examples = Annotated[list[Example], Field(max_length=MAX_EXAMPLES)]


class Preamble(BaseModel):
    """What the model reads before a question."""

    context: _Context | None = Field(
        default=None, description="A passage that the question is about; line breaks and indentation stay."
    )
    instructions: _Instructions | None = Field(
        default=None, description="How to answer, for example: Choose the best answer for a beginner."
    )
    examples: _Examples | None = Field(
        default=None, description="Questions with their answers, for the model to follow."
    )

    @property
    def has_opening(self) -> bool:
        """True if the model reads something before the question."""
        return bool(self.context or self.instructions or self.examples)

    @property
    def opening_characters(self) -> int:
        """The number of characters before the question."""
        examples = self.examples or ()
        return len(self.context or "") + len(self.instructions or "") + sum(e.characters for e in examples)


class Question(Preamble, Offered):
    """A question and 2 to 255 distinct choices: a list (labelled A, B, …) or a map of letters to choices.

    The choices of a list of more than 26 have labels of two letters.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"question": "What is the derivative of x²?", "choices": ["x", "2x", "x²", "2"]},
                {
                    "context": "The tower was built in 1889 for a fair and stands in Paris.",
                    "question": "When was it built?",
                    "choices": ["1789", "1889", "1989"],
                    "instructions": "Answer from the text alone.",
                    "examples": [
                        {"question": "Where does it stand?", "choices": ["Rome", "Paris"], "answer": "B"}
                    ],
                },
            ]
        },
    )

    mode: Mode | None = Field(
        default=None,
        description="answer: the choice and the probabilities; explain: the answer first, then its reasoning; reason: "
        "the reasoning first, then the answer. Default: the service's, explain unless configured.",
    )
    max_reasoning_tokens: int | None = Field(
        default=None, ge=1, le=MAX_REASONING_TOKENS, description="Default: the service's."
    )
    min_confidence: Annotated[float | None, BeforeValidator(_no_boolean)] = Field(
        default=None,
        ge=0,
        le=1,
        strict=False,
        description="Below this the service abstains: `answer` is null. Default: the service's.",
    )
    debias: Debias | None = Field(
        default=None,
        description="How to remove the model's preference for some letters. prior: subtract the measured preference; "
        "rotations: ask in every rotation of the choices, which multiplies the work by their number; none: keep it. "
        "Default: the service's, prior unless configured.",
    )  # fmt: skip
    select: Select = Field(
        default="one",
        description="one: the best choice; all: every right choice, in the modes answer and explain. Each choice is "
        "then judged by itself, and its probability is the probability that it is right.",
    )
    none_of_these: bool = Field(
        default=False,
        description="Offer None of these as the last choice. Not with select all, where an empty list says the same.",
    )
    language: Language | None = Field(
        default=None,
        description="The language of the reasoning, as an ISO 639-1 code. Default: the model's choice, mostly "
        "English.",
    )
    response_format: ResponseFormat | None = Field(
        default=None,
        description="Also write the answer and its reasoning as one text, `output`: a JSON or YAML document with the "
        "keys answer and reasoning, or plain text.",
    )

    @model_validator(mode="after")
    def _select_can_be_met(self) -> Self:
        if self.select == "all" and self.mode == "reason":
            raise PydanticCustomError("select", SELECT_ALL_IN_MODE_REASON)
        return self

    @model_validator(mode="after")
    def _none_can_be_offered(self) -> Self:
        if not self.none_of_these:
            return self
        if self.select == "all":
            raise PydanticCustomError(
                "none_of_these", "none_of_these is for select one: with select all an empty list says it"
            )
        limit = (len(ascii_uppercase) if isinstance(self.choices, dict) else MAX_CHOICES) - 1
        if len(self.choices) > limit:
            raise PydanticCustomError(
                "none_of_these",
                "none_of_these needs a label, too: send at most {limit} choices",
                {"limit": limit},
            )
        for option in self.options:
            if " ".join(option.text.split()).rstrip(".").casefold() == NONE_OF_THESE.casefold():
                raise PydanticCustomError(
                    "none_of_these",
                    "Choice {label} is the one that none_of_these offers: send only one of them",
                    {"label": option.label},
                )
        return self

    @property
    def offered(self) -> list[Option]:
        """The choices, and the way out if there is one, each with its label; see `options`."""
        if not self.none_of_these:
            return self.options
        if isinstance(self.choices, dict):
            free = next(letter for letter in ascii_uppercase if letter not in self.choices)
            return [*self.options, Option(free, NONE_OF_THESE)]
        return label_list([*self.choices, NONE_OF_THESE])


class AnswerRequest(Question):
    """A question, and whether to stream its answer."""

    stream: bool = Field(
        default=False,
        description="Server-sent events: answer, reasoning, done, problem. Or Accept: text/event-stream.",
    )
