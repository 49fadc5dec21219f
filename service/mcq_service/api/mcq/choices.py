"""A question and its choices, with their labels; an example and a question to answer extend it."""

from __future__ import annotations

import unicodedata
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mcq_service.api.schema_rules import not_blank

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_QUESTION_CHARACTERS = 20_000
MAX_CHOICE_CHARACTERS = 4_000
MAX_CHOICES = 255


def _one_capital(label: str) -> str:
    if len(label) != 1 or label not in ascii_uppercase:
        raise PydanticCustomError("label", "a choice's label must be one capital letter, A to Z")
    return label


_Text = Annotated[str, StringConstraints(max_length=MAX_QUESTION_CHARACTERS), AfterValidator(not_blank)]
_Choice = Annotated[str, StringConstraints(max_length=MAX_CHOICE_CHARACTERS), AfterValidator(not_blank)]
Label = Annotated[str, AfterValidator(_one_capital)]
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


def label_list(texts: Sequence[str]) -> list[Option]:
    """Label the choices of a list with letters, or with numbers if there are more than 26."""
    labels = ascii_uppercase if len(texts) <= len(ascii_uppercase) else map(str, range(1, len(texts) + 1))
    return [Option(label, text) for label, text in zip(labels, texts, strict=False)]


_Choices = Annotated[
    Annotated[list[_Choice], _Labels, Tag("list")] | Annotated[dict[Label, _Choice], _Letters, Tag("map")],
    Discriminator(_form),
]
LetteredChoices = Annotated[
    Annotated[list[_Choice], _Letters, Tag("list")] | Annotated[dict[Label, _Choice], _Letters, Tag("map")],
    Discriminator(_form),
]


class Offered(BaseModel):
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
            text = unicodedata.normalize("NFC", "\n".join(option.lines))
            if (same := first.setdefault(text, option.label)) != option.label:
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
        return label_list(self.choices)

    @property
    def characters(self) -> int:
        """The number of characters of the question and its choices."""
        return len(self.question) + sum(len(option.text) for option in self.options)
