"""Turn scores of the labels into a probability for each choice; ask again in other orders where that helps."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING, NamedTuple

from mcq_service.api.mcq.choices import Option
from mcq_service.mcq.calibration import second_order
from mcq_service.mcq.probabilities import mean_by_choice, rotations, softmax
from mcq_service.runtime.task_group import gather

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcq_service.api.mcq.question_schemas import Debias
    from mcq_service.engine import SharedTexts, TextEngine
    from mcq_service.mcq.calibration import Calibration


class SharedQuestion(NamedTuple):
    """One question of several that share a stem.

    Its prompts start at index `first`, one for each order in `orders`.
    """

    labels: list[str]
    debias: Debias
    orders: list[list[int]]
    first: int


def debias_without_calibration(choices: int, debias: Debias) -> Debias:
    """Return how to debias a question of a kind that has no calibration: two choices are asked in both orders."""
    return "rotations" if debias == "prior" and choices == 2 else debias


async def shared_probabilities(
    texts: SharedTexts, question: SharedQuestion, *, calibration: Calibration
) -> list[float]:
    """Return a probability for each choice of one question among others; they sum to 1."""

    async def score(orders: Sequence[Sequence[int]]) -> list[list[float]]:
        indexes = [question.first + question.orders.index(list(order)) for order in orders]
        return await gather(texts.score_labels(index, question.labels) for index in indexes)

    return await choice_probabilities(score, question.labels, debias=question.debias, calibration=calibration)


def labelled(options: Sequence[Option], texts: TextEngine) -> list[Option]:
    """Return the choices with labels that are single tokens: their own letters, or pairs of letters for more than 26.

    Raises TooManyChoices.
    """
    if len(options) <= len(ascii_uppercase):
        return list(options)
    labels = texts.labels(len(options))
    return [Option(label, option.text) for label, option in zip(labels, options, strict=True)]


def orders_of(choices: int, *, debias: Debias, calibration: Calibration) -> list[list[int]]:
    """Return the orders that a question with so many choices may be asked in, its own first."""
    if debias == "rotations":
        return rotations(choices)
    own = list(range(choices))
    if debias == "prior" and calibration.has_second_order(choices):
        return [own, second_order(choices)]
    return [own]


async def choice_probabilities(
    score: Callable[[Sequence[Sequence[int]]], Awaitable[list[list[float]]]], labels: Sequence[str], *,
    debias: Debias, calibration: Calibration,
) -> list[float]:  # fmt: skip
    """Return a probability for each choice; they sum to 1.

    `score` returns, for each of some orders of `orders_of`, the log-probability of each label, up to one constant.
    """
    orders = orders_of(len(labels), debias=debias, calibration=calibration)
    if debias == "rotations":
        return calibration.apply_to_rotations(mean_by_choice(await score(orders), orders))
    [first] = await score(orders[:1])
    if debias == "none":
        return softmax(first)
    probabilities = calibration.apply(first, labels)
    if not calibration.needs_second_order(probabilities):
        return probabilities
    [second] = await score(orders[1:])
    return calibration.apply_to_both_orders(first, second, labels)
