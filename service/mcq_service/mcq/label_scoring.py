"""From scores of the labels to a probability for each choice, asking again in other orders where that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.mcq.calibration import second_order
from mcq_service.mcq.decision import mean_over_rotations, rotations, softmax

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcq_service.api.mcq.schemas import Debias
    from mcq_service.mcq.calibration import Calibration


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
        return calibration.apply_to_rotations(mean_over_rotations(await score(orders)))
    [first] = await score(orders[:1])
    if debias == "none":
        return softmax(first)
    probabilities = calibration.apply(first, labels)
    if not calibration.needs_second_order(probabilities):
        return probabilities
    [second] = await score(orders[1:])
    return calibration.apply_to_both_orders(first, second, labels)
