"""From logits to log-probabilities and to a token: arithmetic on one row of the vocabulary's width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 64
_NUCLEUS = 1024  # the most probable tokens, searched first


class ScoredToken(NamedTuple):
    """A token of a text with its log-probability, and the most probable tokens at its position, best first.

    The log-probability is the model's own, whatever the temperature; None if there is none or it was not asked for.
    """

    token: int
    log_probability: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def score_token(row: NDArray[np.float32], token: int, *, top: int) -> ScoredToken:
    """Return the token and the `top` most probable ones with their log-probabilities."""
    largest = row.max()
    normaliser = float(largest) + math.log(float(np.exp(row - largest).sum(dtype=np.float64)))
    best = tuple((each, float(row[each]) - normaliser) for each in top_tokens(row, top))
    return ScoredToken(token, float(row[token]) - normaliser, best)


def top_tokens(row: NDArray[np.float32], count: int) -> list[int]:
    """Return the `count` tokens with the largest logits, largest first; the lower id wins a tie, as in argmax.

    The `count` largest logits lie in the `count` blocks with the largest maxima. So the vocabulary is read once, and
    only a small part is sorted.
    """
    if count == 0:
        return []
    whole = len(row) // _BLOCK * _BLOCK
    maxima = row[:whole].reshape(-1, _BLOCK).max(axis=1)
    blocks = np.argsort(-maxima, kind="stable")[:count]
    inside = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
    candidates = np.concatenate([inside, np.arange(whole, len(row))])
    order = np.lexsort((candidates, -row[candidates]))
    top: list[int] = candidates[order[:count]].tolist()
    return top


class Sampler:
    """Samples tokens: `temperature` 0 takes the most probable one, `top_p` drops the improbable rest."""

    def __init__(self, *, temperature: float, top_p: float, seed: int | None) -> None:
        """Sample reproducibly: the same seed, of 64 bits with or without a sign, and logits give the same tokens."""
        self.greedy = temperature == 0 or top_p == 0
        self._temperature = temperature
        self._top_p = top_p
        # numpy takes no negative seed.
        self._random = np.random.default_rng(None if seed is None else seed % 2**64)

    def sample(self, row: NDArray[np.float32]) -> int:
        """Sample a token for this row of logits."""
        if self.greedy:
            return int(row.argmax())
        weights = np.exp((row - row.max()).astype(np.float64) / self._temperature)
        weights /= weights.sum()
        if self._top_p == 1:
            return self._draw(weights, None)
        ids = np.array(top_tokens(row, min(_NUCLEUS, len(row))))
        if weights[ids].sum() < self._top_p:
            ids = np.argsort(-row, kind="stable")
        kept = int(np.searchsorted(np.cumsum(weights[ids]), self._top_p)) + 1
        return self._draw(weights, ids[:kept])

    def _draw(self, weights: NDArray[np.float64], ids: NDArray[np.int64] | None) -> int:
        """Draw one of `ids`, or of all tokens, by weight."""
        cumulative = np.cumsum(weights if ids is None else weights[ids])
        index = int(np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right"))
        index = min(index, len(cumulative) - 1)
        return index if ids is None else int(ids[index])
