"""From logits to log-probabilities and to a choice of token: arithmetic on one row, as wide as the vocabulary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 64
_NUCLEUS = 1024  # tokens among which the most probable ones are looked for first


class Scored(NamedTuple):
    """A token of a text with its log-probability there, and the most probable ones in its place, best first.

    The log-probability is the model's own, whatever the temperature; None where there is none, or none is wanted.
    """

    token: int
    log_probability: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def scored(row: NDArray[np.float32], token: int, *, top: int) -> Scored:
    """The token, the `top` most probable ones, and their log-probabilities."""
    largest = row.max()
    normaliser = float(largest) + math.log(float(np.exp(row - largest).sum(dtype=np.float64)))
    best = tuple((each, float(row[each]) - normaliser) for each in most_probable(row, top))
    return Scored(token, float(row[token]) - normaliser, best)


def most_probable(row: NDArray[np.float32], count: int) -> list[int]:
    """The `count` tokens of the largest logits, largest first, of equals the first, as argmax has it.

    Those are in the blocks with the largest maxima, of which there need be no more than `count`: so a vocabulary is
    read once, and what is sorted is small.
    """
    if count == 0:
        return []
    whole = len(row) // _BLOCK * _BLOCK
    maxima = row[:whole].reshape(-1, _BLOCK).max(axis=1)
    blocks = np.argsort(-maxima, kind="stable")[:count]
    inside = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
    candidates = np.concatenate([inside, np.arange(whole, len(row))])
    order = np.lexsort((candidates, -row[candidates]))
    found: list[int] = candidates[order[:count]].tolist()
    return found


class Chooser:
    """Chooses tokens by chance: `temperature` 0 takes the most probable, `top_p` leaves out the improbable rest."""

    def __init__(self, *, temperature: float, top_p: float, seed: int | None) -> None:
        """With the same seed the same logits give the same tokens."""
        self.greedy = temperature == 0 or top_p == 0
        self._temperature = temperature
        self._top_p = top_p
        self._random = np.random.default_rng(None if seed is None else abs(seed))

    def choose(self, row: NDArray[np.float32]) -> int:
        """A token for this row of logits."""
        if self.greedy:
            return int(row.argmax())
        weights = np.exp((row - row.max()).astype(np.float64) / self._temperature)
        weights /= weights.sum()
        if self._top_p == 1:
            return self._draw(weights, None)
        ids = np.array(most_probable(row, min(_NUCLEUS, len(row))))
        if weights[ids].sum() < self._top_p:
            ids = np.argsort(-row, kind="stable")
        kept = int(np.searchsorted(np.cumsum(weights[ids]), self._top_p)) + 1
        return self._draw(weights, ids[:kept])

    def _draw(self, weights: NDArray[np.float64], ids: NDArray[np.int64] | None) -> int:
        """One of `ids`, or of all tokens, by their weights."""
        steps = np.cumsum(weights if ids is None else weights[ids])
        place = int(np.searchsorted(steps, self._random.random() * steps[-1], side="right"))
        place = min(place, len(steps) - 1)
        return place if ids is None else int(ids[place])
