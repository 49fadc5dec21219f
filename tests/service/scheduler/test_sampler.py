"""The sampler: top tokens, log-probabilities, temperature and top_p."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcq_service.scheduler.sampler import Sampler, score_token, top_tokens

Row = np.ndarray[tuple[int], np.dtype[np.float32]]
ROWS = st.integers(1, 400).flatmap(
    lambda size: arrays(np.float32, size, elements=st.integers(-20, 20).map(lambda value: value / 2))
)


@given(ROWS, st.integers(0, 25))
def test_the_top_tokens_are_those_of_a_sort(row: Row, count: int) -> None:
    """The largest come first; of equal ones, the first."""
    assert top_tokens(row, count) == np.argsort(-row, kind="stable")[:count].tolist()


@given(ROWS, st.integers(0, 5), st.data())
def test_log_probabilities_are_those_of_a_softmax(row: Row, top: int, data: st.DataObject) -> None:
    """They are computed in double precision, for the token itself and for the most probable ones."""
    token = data.draw(st.integers(0, len(row) - 1))
    exact = row.astype(np.float64) - math.log(sum(math.exp(value) for value in row.tolist()))
    scored = score_token(row, token, top=top)
    assert scored.log_probability == pytest.approx(exact[token], abs=1e-5)
    for each, value in scored.top:
        assert value == pytest.approx(exact[each], abs=1e-5)


def frequencies(sampler: Sampler, row: list[float], draws: int = 20_000) -> list[float]:
    values = np.array(row, np.float32)
    counts = np.bincount([sampler.sample(values) for _ in range(draws)], minlength=len(row))
    return [count / draws for count in counts.tolist()]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_temperature(temperature: float) -> None:
    """They follow softmax(logits / temperature) within four standard deviations of 20,000 draws."""
    row = [2.0, 0.0, 1.0, -1.0]
    weights = [math.exp(value / temperature) for value in row]
    expected = [weight / sum(weights) for weight in weights]
    shares = frequencies(Sampler(temperature=temperature, top_p=1, seed=7), row)
    for share, probability in zip(shares, expected, strict=True):
        assert share == pytest.approx(probability, abs=4 * math.sqrt(probability / 20_000))


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.4, {1}), (0.6, {1, 2}), (0.95, {0, 1, 2}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_drops_the_improbable_rest(top_p: float, kept: set[int]) -> None:
    """Of probabilities 0.2, 0.5, 0.25 and 0.05 it keeps the fewest with a sum of at least top_p."""
    row = np.log([0.2, 0.5, 0.25, 0.05]).tolist()
    shares = frequencies(Sampler(temperature=1, top_p=top_p, seed=1), row, draws=2000)
    assert {token for token, share in enumerate(shares) if share} == kept


def test_top_p_is_exact_for_a_flat_vocabulary() -> None:
    """The most probable thousand tokens may not be enough."""
    row = np.zeros(5000, np.float32)
    sampler = Sampler(temperature=1, top_p=0.5, seed=3)
    drawn = {sampler.sample(row) for _ in range(3000)}
    assert max(drawn) < 2501
    assert len(drawn) > 1500


def test_each_seed_samples_tokens_of_its_own() -> None:
    """The texts of one request have neighbouring seeds, which may be negative."""
    row = np.zeros(5000, np.float32)

    def draw(seed: int) -> tuple[int, ...]:
        sampler = Sampler(temperature=1, top_p=1, seed=seed)
        return tuple(sampler.sample(row) for _ in range(4))

    seeds = [-(2**63), -2, -1, 0, 1, 2, 2**63 - 1]
    assert len({draw(seed) for seed in seeds}) == len(seeds)
    assert draw(-1) == draw(-1)


@pytest.mark.parametrize("settings", [{"temperature": 0, "top_p": 1}, {"temperature": 1, "top_p": 0}])
def test_greedy_is_the_first_of_the_largest(settings: dict[str, float]) -> None:
    """The seed does not matter."""
    sampler = Sampler(**settings, seed=None)
    assert sampler.greedy
    assert sampler.sample(np.array([0, 3, 1, 3], np.float32)) == 1
