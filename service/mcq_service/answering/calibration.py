"""From a model's scores of the letters to probabilities that can be believed: pure arithmetic.

A language model prefers some letters whatever they stand for. PriDe (Zheng et al., arXiv 2309.03882) measures that
prior once, and divides it out: p(choice) ∝ p(letter) / prior(letter). Here a share of it is divided out, which is
measured as well: for some kinds of questions that is none. What is left is as a rule too sure or too unsure of itself,
which one number, the temperature, mends (Guo et al., arXiv 1706.04599).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mcq_service.answering.deciding import mean_by_choice, rotations, softmax
from mcq_service.model_store import Precision
from mcq_service.prompts import ANSWER_FIRST, Form, answer_form

if TYPE_CHECKING:
    from collections.abc import Sequence

Probability = Annotated[float, Field(gt=0, le=1)]
Temperature = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class SecondOrder(BaseModel):
    """Another order of the choices, in which a question is asked as well where the first leaves it open.

    `margin` is that between the two most probable choices, below which it is; `temperature` is of the mean of both.
    """

    model_config = ConfigDict(frozen=True)

    margin: Share
    temperature: Temperature = 1.0


class Measured(BaseModel):
    """What is known of questions with one number of choices.

    `prior` has each letter's probability before any question; `strength` is the share of it that is taken out, 0 to 1.
    `temperature` is of the scores that are left, `rotations_temperature` of the mean of a question's rotations, in
    which the prior cancels.
    """

    model_config = ConfigDict(frozen=True)

    prior: dict[str, Probability]
    strength: Share = 1.0
    temperature: Temperature = 1.0
    second_order: SecondOrder | None = None
    rotations_temperature: Temperature = 1.0

    def debiased(self, log_probabilities: Sequence[float], labels: Sequence[str]) -> list[float]:
        """The scores of letters, up to one constant, less their prior.

        A letter that was not measured has the mean prior of the others: it is neither favoured nor punished.
        """
        known = {label: math.log(probability) for label, probability in self.prior.items()}
        mean = sum(known.values()) / len(known) if known else 0.0
        return [
            score - self.strength * known.get(label, mean)
            for score, label in zip(log_probabilities, labels, strict=True)
        ]


class Calibration(BaseModel):
    """What is known of a model's scores, by number of choices; with nothing known, they are taken as they are.

    It holds for letters that are asked for in the form with `prompt_digest`, and for no other number of choices.
    """

    model_config = ConfigDict(frozen=True)

    prompt_digest: str = ANSWER_FIRST.digest
    choices: dict[int, Measured] = {}

    @field_validator("prompt_digest")
    @classmethod
    def _of_a_form(cls, digest: str) -> str:
        try:
            answer_form(digest)
        except KeyError:
            raise ValueError(f"there is no prompt {digest} any more") from None  # noqa: EM102
        return digest

    @property
    def form(self) -> Form:
        """What a letter is asked for in."""
        return answer_form(self.prompt_digest)

    def apply(self, log_probabilities: Sequence[float], labels: Sequence[str]) -> list[float]:
        """Probabilities of the choices offered under `labels`; they sum to 1.

        `log_probabilities` are of the labels as next token, up to one constant.
        """
        measured = self.choices.get(len(labels))
        if measured is None:
            return softmax(log_probabilities)
        return _tempered(measured.debiased(log_probabilities, labels), measured.temperature)

    def may_ask_again(self, choices: int) -> bool:
        """Whether some questions with so many choices are asked in a second order, too."""
        measured = self.choices.get(choices)
        return measured is not None and measured.second_order is not None

    def asks_again(self, probabilities: Sequence[float]) -> bool:
        """Whether the first order leaves so little between these that the question is asked in the second."""
        measured = self.choices.get(len(probabilities))
        if measured is None or measured.second_order is None:
            return False
        *_, second, best = sorted(probabilities)
        return best - second < measured.second_order.margin

    def apply_both(
        self, first: Sequence[float], second: Sequence[float], labels: Sequence[str]
    ) -> list[float]:
        """Probabilities of the choices after the scores of both orders: the second is `second_order`."""
        measured = self.choices[len(labels)]
        assert measured.second_order is not None, "asks_again says so"  # noqa: S101
        rows = [measured.debiased(row, labels) for row in (first, second)]
        orders = [list(range(len(labels))), second_order(len(labels))]
        return _tempered(mean_by_choice(rows, orders), measured.second_order.temperature)

    def tempered(self, log_probabilities: Sequence[float]) -> list[float]:
        """Probabilities of choices whose scores are means over all rotations; they sum to 1."""
        measured = self.choices.get(len(log_probabilities))
        return _tempered(log_probabilities, measured.rotations_temperature if measured else 1.0)


def second_order(choices: int) -> list[int]:
    """The rotation by half: each choice is far from where it was."""
    return rotations(choices)[choices // 2]


def _tempered(scores: Sequence[float], temperature: float) -> list[float]:
    return softmax([score / temperature for score in scores])


class FittedOn(BaseModel):
    """The questions a calibration was fitted on: their files (SHA-256 by name), and how many."""

    model_config = ConfigDict(frozen=True)

    exams: dict[str, str]
    questions: int


class StoredCalibration(Calibration):
    """A calibration as a file has it: with the model that it is of, without which it means nothing."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    format: Literal[2] = 2
    model_uri: str
    model_digest: str
    precision: Precision
    fitted_on: FittedOn
    created: datetime
