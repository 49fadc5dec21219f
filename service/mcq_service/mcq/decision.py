"""Decide which choice, or which choices, to answer from their probabilities; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mcq_service.api.mcq.answer_schemas import Choice, LabelProbability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.api.mcq.choices import Option


class Selection(NamedTuple):
    """The selected choice, or with select all the selected choices, or an abstention."""

    answer: Choice | None
    selected: list[Choice] | None
    confidence: float
    margin: float
    abstained: bool
    probabilities: list[LabelProbability]


def decide(
    options: Sequence[Option],
    probabilities: Sequence[float],
    *,
    min_confidence: float,
    has_none_of_these: bool = False,
) -> Selection:
    """Select the most probable choice, or abstain if its probability is below `min_confidence`.

    With `has_none_of_these`, the last option says that no choice is right. There is no answer if it is the most
    probable.
    """
    best = max(range(len(options)), key=probabilities.__getitem__)
    confidence, second, *_ = sorted(probabilities, reverse=True)
    label, text = options[best]
    abstained = confidence < min_confidence
    return Selection(
        answer=None
        if abstained or (has_none_of_these and best == len(options) - 1)
        else Choice(label=label, index=best, text=text),
        selected=None,
        confidence=confidence,
        margin=confidence - second,
        abstained=abstained,
        probabilities=_labelled(options, probabilities),
    )


def judge(options: Sequence[Option], probabilities: Sequence[float], *, min_confidence: float) -> Selection:
    """Select every choice that is probably right; abstain if one of them is decided below `min_confidence`."""
    confidence = min(max(probability, 1 - probability) for probability in probabilities)
    abstained = confidence < min_confidence
    return Selection(
        answer=None,
        selected=[
            Choice(label=option.label, index=index, text=option.text)
            for index, (option, probability) in enumerate(zip(options, probabilities, strict=True))
            if probability > 1 / 2 and not abstained
        ],
        confidence=confidence,
        margin=2 * confidence - 1,
        abstained=abstained,
        probabilities=_labelled(options, probabilities),
    )


def _labelled(options: Sequence[Option], probabilities: Sequence[float]) -> list[LabelProbability]:
    return [
        LabelProbability(label=option.label, probability=probability)
        for option, probability in zip(options, probabilities, strict=True)
    ]
