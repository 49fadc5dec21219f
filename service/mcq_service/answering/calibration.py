"""From a model's scores of the letters to probabilities that can be believed: pure arithmetic.

A language model prefers some letters whatever they stand for. PriDe (Zheng et al., arXiv 2309.03882) measures that
prior once, and divides it out: p(choice) ∝ p(letter) / prior(letter). What is left is as a rule too sure or too
unsure of itself, which one number, the temperature, mends (Guo et al., arXiv 1706.04599).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcq_service.answering.deciding import softmax
from mcq_service.models import Precision

if TYPE_CHECKING:
    from collections.abc import Sequence

Probability = Annotated[float, Field(gt=0, le=1)]
Temperature = Annotated[float, Field(gt=0)]


class Calibration(BaseModel):
    """What is known of a model's scores; with nothing known, they are taken as they are.

    `prior` gives, for a number of choices, each letter's probability before any question. `temperature` is of scores
    freed from that prior, `rotations_temperature` of the mean of a question's rotations, in which the prior cancels.
    All three were measured for the numbers of choices that `prior` has, and hold for no other.
    """

    model_config = ConfigDict(frozen=True)

    prior: dict[int, dict[str, Probability]] = {}
    temperature: Temperature = 1.0
    rotations_temperature: Temperature = 1.0

    def covers(self, choices: int) -> bool:
        """Whether it was measured with questions of so many choices."""
        return choices in self.prior

    def apply(self, log_probabilities: Sequence[float], labels: Sequence[str]) -> list[float]:
        """Probabilities of the choices offered under `labels`; they sum to 1.

        `log_probabilities` are of the labels as next token, up to one constant.
        """
        if not self.covers(len(labels)):
            return softmax(list(log_probabilities))
        scores = zip(log_probabilities, self.log_prior(labels), strict=True)
        return softmax([(score - prior) / self.temperature for score, prior in scores])

    def tempered(self, log_probabilities: Sequence[float]) -> list[float]:
        """Probabilities of choices whose scores are means over all rotations; they sum to 1."""
        if not self.covers(len(log_probabilities)):
            return softmax(list(log_probabilities))
        return softmax([score / self.rotations_temperature for score in log_probabilities])

    def log_prior(self, labels: Sequence[str]) -> list[float]:
        """The logarithm of each label's prior, up to one constant; where so many choices were not measured, none.

        A letter that was not measured gets the mean of the others, so that it is neither favoured nor punished.
        """
        if not self.covers(len(labels)):
            return [0.0] * len(labels)
        known = {label: math.log(probability) for label, probability in self.prior[len(labels)].items()}
        mean = sum(known.values()) / len(known) if known else 0.0
        return [known.get(label, mean) for label in labels]


class FittedOn(BaseModel):
    """The questions a calibration was fitted on: their files (SHA-256 by name), and how many."""

    model_config = ConfigDict(frozen=True)

    exams: dict[str, str]
    questions: int


class StoredCalibration(Calibration):
    """A calibration as a file has it: with the model and the prompt it is of, without which it means nothing."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    format: Literal[1] = 1
    model_uri: str
    model_digest: str
    precision: Precision
    prompt_digest: str
    fitted_on: FittedOn
    created: datetime
