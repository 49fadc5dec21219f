"""Requests of /api/v1/mcq/answers: several questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from mcq_service.api.mcq.question_schemas import Preamble, Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

MAX_BATCH = 256


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


class Batch(Preamble):
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
        shared = {name: value for name in Preamble.model_fields if (value := getattr(self, name)) is not None}
        items: Iterable[Question | MalformedQuestion] = self.questions
        return [
            each if isinstance(each, MalformedQuestion) else _with_defaults(each, shared) for each in items
        ]
