"""Few sounds out of many: one of each group, the one in its middle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avlib.errors import ParameterError
from avlib.retrieval.diversity import canonical, mean_distance


def groups(sizes: list[int], *, seed: int = 0, spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Sounds around far-apart middles, shuffled, and the group of each."""
    random = np.random.default_rng(seed)
    of = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    middles = np.linalg.qr(random.normal(size=(12, 12)))[0][: len(sizes)]
    return (middles[of] + spread * random.normal(size=(len(of), 12))).astype(np.float32), of


@pytest.mark.parametrize("seed", range(4))
def test_one_of_each_group(seed: int) -> None:
    sounds, of = groups([9, 3, 6, 7], seed=seed)
    assert sorted(of[canonical(sounds, count=4)]) == [0, 1, 2, 3]


def test_the_middle_one_stands_for_its_group() -> None:
    sounds, of = groups([8, 8], seed=1)
    chosen = canonical(sounds, count=2)
    for row in chosen:
        members = np.flatnonzero(of == of[row])
        sums = [np.linalg.norm(sounds[members].astype(np.float64) - sounds[one], axis=1).sum() for one in members]
        assert row == members[int(np.argmin(sums))]


def test_more_different_than_the_first(tmp_path: object) -> None:
    sounds, _ = groups([20, 3, 3, 3, 3], seed=2)
    chosen = canonical(sounds, count=5)
    assert mean_distance(list(sounds[chosen])) > mean_distance(list(sounds[:5]))


def test_equal_sounds_count_once() -> None:
    sounds = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    assert canonical(sounds, count=3) == [0, 5, 10]
    assert canonical(sounds, count=4) == [0, 1, 5, 10]  # there are no four different ones
    assert canonical(sounds[:2], count=5) == [0, 1]


@given(st.integers(1, 25), st.integers(1, 8), st.integers(0, 5))
def test_so_many_rows_ascending(rows: int, count: int, seed: int) -> None:
    sounds = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    chosen = canonical(sounds, count=count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(rows, count)
    assert chosen == canonical(sounds, count=count)


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ParameterError, match="count = 0"):
        canonical(np.zeros((3, 2), np.float32), count=0)
