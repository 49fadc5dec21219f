"""Typed questions of an exam: predicates and scores about an input, as /v1/decisions asks them.

| key of the line | meaning |
|---|---|
| `type` | `predicate` or `score` |
| `input` | the text that the question is about |
| `instructions` | the statement, or what to score |
| `levels` | of a score: the levels in order |
| `answer` | of a predicate: true or false; of a score: a level, or its position from 0 |
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mcq_eval.errors import one_line
from mcq_service.api.decisions.schemas import DecisionRequest

Kind = Literal["predicate", "score"]


class DecisionQuestion(BaseModel):
    """A question about an input."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Kind
    input: str
    instructions: str
    levels: list[str] | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if (self.levels is None) is (self.type == "score"):
            need = "needs" if self.type == "score" else "has no"
            raise PydanticCustomError("levels", "a {type} {need} levels", {"type": self.type, "need": need})
        try:
            DecisionRequest.model_validate(self.request)
        except ValidationError as error:
            raise PydanticCustomError("request", "{reason}", {"reason": one_line(error)}) from error
        return self

    @property
    def labels(self) -> list[str]:
        """True and False, or the levels, in their order."""
        return ["True", "False"] if self.levels is None else self.levels

    @property
    def request(self) -> dict[str, Any]:
        """The body for /v1/decisions."""
        question: dict[str, Any] = {"type": self.type, "instructions": self.instructions}
        if self.levels is not None:
            question["levels"] = [{"label": level} for level in self.levels]
        return {"input": self.input, "questions": [question]}

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the content, without spacing."""
        parts = (self.type, self.input, self.instructions, *self.labels)
        return hashlib.sha256(json.dumps([" ".join(part.split()) for part in parts]).encode()).hexdigest()


class TypedLine(BaseModel):
    """A line of a file: a question, its answer and its names."""

    model_config = ConfigDict(extra="ignore")

    id: str
    subject: str | None = None
    question: DecisionQuestion
    answer: StrictBool | StrictInt | StrictStr

    @model_validator(mode="after")
    def _answer_is_offered(self) -> Self:
        position, labels = self._find(), self.question.labels
        if position is None:
            expected = (
                "true or false" if self.question.type == "predicate" else "a level, or its position from 0"
            )
            raise PydanticCustomError("answer", "answer: write {expected}", {"expected": expected})
        if isinstance(self.answer, int) and str(self.answer) in {*labels} - {labels[position]}:
            raise PydanticCustomError(
                "answer",
                'answer: {answer} may mean the level "{answer}" or the level "{level}": write the level in quotes',
                {"answer": self.answer, "level": labels[position]},
            )
        return self

    @property
    def position(self) -> int:
        """The position of the answer among the labels."""
        position = self._find()
        assert position is not None, "validated"
        return position

    def _find(self) -> int | None:
        labels = self.question.labels
        if self.question.type == "predicate":
            return None if not isinstance(self.answer, bool) else 0 if self.answer else 1
        if isinstance(self.answer, str):
            return labels.index(self.answer) if self.answer in labels else None
        return self.answer if not isinstance(self.answer, bool) and 0 <= self.answer < len(labels) else None


def parse_typed(value: dict[str, Any]) -> TypedLine:
    """Parse a line's object. Raises ValueError, which says in one line what is wrong."""
    names = {
        name: str(value[name]) if name == "id" else value[name] for name in ("id", "subject") if name in value
    }
    try:
        return TypedLine.model_validate({**names, "question": value, "answer": value.get("answer")})
    except ValidationError as error:
        raise ValueError(one_line(error)) from error
