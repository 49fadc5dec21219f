"""Turn a model's scores of the letters into calibrated probabilities; pure functions.

A language model prefers some letters whatever they stand for. PriDe (Zheng et al., arXiv 2309.03882) measures that
prior once and divides it out: p(choice) ∝ p(letter) / prior(letter). Here a measured share of the prior is divided
out; for some kinds of questions the share is 0. The remaining probabilities are usually overconfident or
underconfident, and a temperature corrects that (Guo et al., arXiv 1706.04599).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcq_service.mcq.probabilities import mean_by_choice, rotations, softmax
from mcq_service.model_store import Precision

if TYPE_CHECKING:
    from collections.abc import Sequence

Probability = Annotated[float, Field(gt=0, le=1)]
Temperature = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class SecondOrder(BaseModel):
    """A second order of the choices, for questions that the first order leaves undecided.

    A question is asked again if the two most probable choices are closer than `margin`. `temperature` applies to the
    mean of both orders.
    """

    model_config = ConfigDict(frozen=True)

    margin: Share
    temperature: Temperature = 1.0


class ChoicesCalibration(BaseModel):
    """The calibration of questions with one number of choices.

    `prior` has each letter's probability before any question; `strength` is the share of it to remove, 0 to 1.
    `temperature` applies to the remaining scores, `rotations_temperature` to the mean over a question's rotations,
    where the prior cancels.
    """

    model_config = ConfigDict(frozen=True)

    prior: dict[str, Probability]
    strength: Share = 1.0
    temperature: Temperature = 1.0
    second_order: SecondOrder | None = None
    rotations_temperature: Temperature = 1.0

    def without_prior(self, log_probabilities: Sequence[float], labels: Sequence[str]) -> list[float]:
        """Return the scores of letters, up to one constant, less their prior.

        A letter without a measured prior gets the mean prior of the others, which neither favours nor punishes it.
        """
        known = {label: math.log(probability) for label, probability in self.prior.items()}
        mean = sum(known.values()) / len(known) if known else 0.0
        return [
            score - self.strength * known.get(label, mean)
            for score, label in zip(log_probabilities, labels, strict=True)
        ]


class Calibration(BaseModel):
    """The calibration of a model's scores, by number of choices. Other numbers of choices are not calibrated.

    It holds only for prompts of the form with `prompt_digest`; None is the model's default form.
    """

    model_config = ConfigDict(frozen=True)

    prompt_digest: str | None = None
    choices: dict[int, ChoicesCalibration] = {}

    def apply(self, log_probabilities: Sequence[float], labels: Sequence[str]) -> list[float]:
        """Return the probabilities of the choices with these `labels`; they sum to 1.

        `log_probabilities` are those of the labels as the next token, up to one constant.
        """
        measured = self.choices.get(len(labels))
        if measured is None:
            return softmax(log_probabilities)
        return _softmax_at(measured.without_prior(log_probabilities, labels), measured.temperature)

    def has_second_order(self, choices: int) -> bool:
        """True if some questions with this number of choices are asked in a second order."""
        measured = self.choices.get(choices)
        return measured is not None and measured.second_order is not None

    def needs_second_order(self, probabilities: Sequence[float]) -> bool:
        """True if the first order's probabilities are so close that the question is asked in the second order."""
        measured = self.choices.get(len(probabilities))
        if measured is None or measured.second_order is None:
            return False
        *_, second, best = sorted(probabilities)
        return best - second < measured.second_order.margin

    def apply_to_both_orders(
        self, first: Sequence[float], second: Sequence[float], labels: Sequence[str]
    ) -> list[float]:
        """Return the probabilities of the choices from the scores in their own order and in `second_order`."""
        measured = self.choices[len(labels)]
        assert measured.second_order is not None, "call it only if needs_second_order is True"
        rows = [measured.without_prior(row, labels) for row in (first, second)]
        orders = [list(range(len(labels))), second_order(len(labels))]
        return _softmax_at(mean_by_choice(rows, orders), measured.second_order.temperature)

    def apply_to_rotations(self, log_probabilities: Sequence[float]) -> list[float]:
        """Return the probabilities of the choices from their mean scores over all rotations; they sum to 1."""
        measured = self.choices.get(len(log_probabilities))
        return _softmax_at(log_probabilities, measured.rotations_temperature if measured else 1.0)


def second_order(choices: int) -> list[int]:
    """Return the rotation by half, which moves each choice far from its own place."""
    return rotations(choices)[choices // 2]


def _softmax_at(scores: Sequence[float], temperature: float) -> list[float]:
    return softmax([score / temperature for score in scores])


class FittedOn(BaseModel):
    """The questions that a calibration was fitted on: their files (SHA-256 by name), and their number."""

    model_config = ConfigDict(frozen=True)

    exams: dict[str, str]
    questions: int


class StoredCalibration(Calibration):
    """A calibration in a file, with the model that it belongs to."""

    format: Literal[2] = 2
    prompt_digest: str
    model_uri: str
    model_digest: str
    precision: Precision
    fitted_on: FittedOn
    created: datetime
