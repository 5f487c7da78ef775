"""Few sounds out of many: one of each group, the first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_warehouse import SmallWarehouse

from avlib.config import load_settings
from avlib.errors import ParameterError
from avlib.media import open_picture
from avlib.retrieval.diversity import canonical, distances
from avlib.retrieval.suggest import Suggester, Wish
from avlib.warehouse import Warehouse


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


def test_the_first_one_stands_for_its_group() -> None:
    sounds, of = groups([8, 5, 8], seed=1)
    assert canonical(sounds, count=3) == sorted(int(np.flatnonzero(of == group)[0]) for group in range(3))


def test_more_different_than_the_first(tmp_path: object) -> None:
    sounds, _ = groups([20, 3, 3, 3, 3], seed=2)
    chosen = canonical(sounds, count=5)
    assert distances(sounds[chosen]).mean() > distances(sounds[:5]).mean()


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("others", [1, 3])
def test_nearly_equal_sounds_and_a_few_others(others: int) -> None:
    random = np.random.default_rng(others)
    sounds = np.repeat(random.normal(size=(1, 65)), 20, axis=0) + 1e-4 * random.normal(size=(20, 65))
    sounds[5 : 5 + others] = random.normal(size=(others, 65))
    chosen = canonical(sounds.astype(np.float32), count=5)
    assert len(chosen) == 5
    assert set(range(5, 5 + others)) & set(chosen)


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ParameterError, match="count = 0"):
        canonical(np.zeros((3, 2), np.float32), count=0)


def test_of_one_video_there_are_no_more_than_are_wanted(made: SmallWarehouse) -> None:
    """Twenty samples of the red video are nearest; six candidates are three of these and three of another video."""
    settings = load_settings(assignments=["suggest.diverse_of=2"]).suggest
    suggester, red = Suggester(Warehouse(made.uri), settings), open_picture(made.queries["red"])
    plain = suggester.suggest(red, Wish(6, 1.0)).neighbors
    diverse = suggester.suggest(red, Wish(3, 1.0, diverse=True)).neighbors
    assert {one.uri for one in plain} == {str(made.videos["red"])}
    assert len({one.uri for one in diverse}) == 2
    assert len(diverse) == 3 and diverse[0].sample_id == plain[0].sample_id
