"""Requests of /api/v1/mcq: a question and its options, alone or in a batch."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from mcq_service.api.schema_rules import not_blank

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_QUESTION_CHARACTERS = 20_000
MAX_CHOICE_CHARACTERS = 4_000
MAX_CHOICES = 255
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
MAX_BATCH = 256
NO_ESCALATION = ("MCQ-Escalation", "none")
"""The header that forbids asking another solver."""
NONE_OF_THESE = "None of these"
SELECT_ALL_IN_MODE_REASON = "select all works in the modes answer and explain: send one of them as mode"


def _no_boolean(value: Any) -> Any:
    """Reject a boolean: Python and pydantic count it as a number."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "must be a number")
    return value


def _one_capital(label: str) -> str:
    if len(label) != 1 or label not in ascii_uppercase:
        raise PydanticCustomError("label", "a choice's label must be one capital letter, A to Z")
    return label


_Text = Annotated[str, StringConstraints(max_length=MAX_QUESTION_CHARACTERS), AfterValidator(not_blank)]
_Choice = Annotated[str, StringConstraints(max_length=MAX_CHOICE_CHARACTERS), AfterValidator(not_blank)]
_Context = Annotated[str, StringConstraints(max_length=MAX_CONTEXT_CHARACTERS), AfterValidator(not_blank)]
_Instructions = Annotated[
    str, StringConstraints(max_length=MAX_INSTRUCTIONS_CHARACTERS), AfterValidator(not_blank)
]
_Label = Annotated[str, AfterValidator(_one_capital)]
_Letters = Field(min_length=2, max_length=len(ascii_uppercase))
_Labels = Field(min_length=2, max_length=MAX_CHOICES)


def _form(choices: Any) -> str:
    return "map" if isinstance(choices, dict) else "list"


class Option(NamedTuple):
    """One choice and its letter."""

    label: str
    text: str

    @property
    def lines(self) -> list[str]:
        """The text's lines with their indentation, without trailing white space and surrounding blank lines."""
        lines = [line.rstrip() for line in self.text.splitlines()]
        written = [index for index, line in enumerate(lines) if line]
        return lines[written[0] : written[-1] + 1]


_Choices = Annotated[
    Annotated[list[_Choice], _Labels, Tag("list")] | Annotated[dict[_Label, _Choice], _Letters, Tag("map")],
    Discriminator(_form),
]
_LetteredChoices = Annotated[
    Annotated[list[_Choice], _Letters, Tag("list")] | Annotated[dict[_Label, _Choice], _Letters, Tag("map")],
    Discriminator(_form),
]


class _Offered(BaseModel):
    """A question and its choices."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: _Text = Field(description="The question; it may contain line breaks, code and LaTeX.")
    choices: _Choices = Field(
        description="2 to 255 distinct choices: a list, or a map from capital letters (2 to 26)."
    )

    @model_validator(mode="after")
    def _choices_are_distinct(self) -> Self:
        first: dict[str, str] = {}
        for option in self.options:
            if (same := first.setdefault("\n".join(option.lines), option.label)) != option.label:
                raise PydanticCustomError(
                    "duplicate_choice",
                    "Choices {first} and {second} are the same: each choice must differ from the others",
                    {"first": same, "second": option.label},
                )
        return self

    @property
    def options(self) -> list[Option]:
        """The choices in order, each with its label.

        More than 26 are numbered: the labels that the model reads depend on its tokenizer.
        """
        if isinstance(self.choices, dict):
            return [Option(label, text) for label, text in self.choices.items()]
        numbers = [str(number) for number in range(1, len(self.choices) + 1)]
        labels = ascii_uppercase if len(self.choices) <= len(ascii_uppercase) else numbers
        return [Option(label, text) for label, text in zip(labels, self.choices, strict=False)]

    @property
    def characters(self) -> int:
        """The number of characters of the question and its choices."""
        return len(self.question) + sum(len(option.text) for option in self.options)


class Example(_Offered):
    """A question with its answer, for the model to follow."""

    choices: _LetteredChoices = Field(
        description="2 to 26 distinct choices: a list, or a map from capital letters."
    )
    answer: _Label = Field(description="The label of the right choice; a list is labelled A, B, ….")

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


class _Preamble(BaseModel):
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


class Question(_Preamble, _Offered):
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
        texts = [*self.choices, NONE_OF_THESE]
        labels = ascii_uppercase if len(texts) <= len(ascii_uppercase) else map(str, range(1, len(texts) + 1))
        return [Option(label, text) for label, text in zip(labels, texts, strict=False)]


class AnswerRequest(Question):
    """A question, and whether to stream its answer."""

    stream: bool = Field(
        default=False,
        description="Server-sent events: answer, reasoning, done, problem. Or Accept: text/event-stream.",
    )


class MalformedQuestion(NamedTuple):
    """An item of a batch that is not a valid question, with pydantic's errors."""

    value: Any
    errors: list[ErrorDetails]


def _or_malformed(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        return MalformedQuestion(value, errors)


def _allow_any_item(schema: dict[str, Any]) -> None:
    anything = {"description": "An item that is not a valid question gets a problem in the results."}
    schema["items"] = {"anyOf": [schema["items"], anything]}


def _with_defaults(question: Question, shared: dict[str, Any]) -> Question:
    own = {name for name in shared if getattr(question, name) is not None}
    update = {name: value for name, value in shared.items() if name not in own}
    return question.model_copy(update=update) if update else question


class Batch(_Preamble):
    """Several questions in one request; a malformed one does not affect the others.

    `context`, `instructions` and `examples` are for all questions that have none of their own.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    questions: list[Annotated[Question, WrapValidator(_or_malformed)]] = Field(
        min_length=1, max_length=MAX_BATCH, json_schema_extra=_allow_any_item
    )

    @property
    def items(self) -> list[Question | MalformedQuestion]:
        """The questions with what the batch has for all of them, and the errors of malformed ones."""
        shared = {
            name: value for name in _Preamble.model_fields if (value := getattr(self, name)) is not None
        }
        items: Iterable[Question | MalformedQuestion] = self.questions
        return [
            each if isinstance(each, MalformedQuestion) else _with_defaults(each, shared) for each in items
        ]
