"""Retrieval rates, against counting by hand and against scipy's distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from avlib.errors import ParameterError
from avlib.evaluation import Truth, answer_rates, nearest_rows, retrieval_rates


def _words(*rows: str) -> np.ndarray:
    return np.array([row.split() for row in rows], dtype=np.str_)


def _truth(picture: list[str], sound: list[str]) -> Truth:
    seen, heard = np.array(picture), np.array(sound)
    return Truth(seen, heard, seen == heard, np.ones(len(seen), bool))


def test_rates_by_hand() -> None:
    categories = np.array(["dog", "sea", "dog", "bell"])
    sound = _words("dog sea sea", "voice sea sea", "sea dog voice", "dog dog sea")
    picture = _words("dog dog dog", "sea dog dog", "sea dog dog", "dog dog dog")
    rates = answer_rates(categories, sound, picture)
    assert (rates.queries, rates.m) == (4, 3)
    assert rates.best_sound == 1 / 4
    assert rates.majority_sound == pytest.approx((0 + 1 + 1 / 3 + 0) / 4)  # the third is a tie of three
    assert rates.best_picture == 2 / 4
    assert rates.majority_picture == pytest.approx((1 + 0 + 1 + 0) / 4)


def test_a_missing_answer_is_wrong_and_has_no_vote() -> None:
    sound = np.array([["dog", "", ""], ["", "", ""]])
    rates = answer_rates(np.array(["dog", "sea"]), sound, sound)
    assert (rates.best_sound, rates.majority_sound) == (0.5, 0.5)


def test_rates_of_samples_follow_their_own_truth() -> None:
    samples = np.eye(4, dtype=np.float32)
    truth = _truth(["dog", "dog", "sea", "sea"], ["dog", "voice", "sea", "sea"])
    queries = np.array([[0, 1, 0, 0], [0, 0, 1, 0.5]], np.float32)
    rates = retrieval_rates(queries, np.array(["dog", "sea"]), samples, truth, m=1)
    assert (rates.best_sound, rates.best_picture, rates.majority_sound) == (0.5, 1.0, 0.5)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 10_000))
def test_nearest_rows_equal_brute_force(queries: int, samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.normal(size=(queries, 5)).astype(np.float32)
    given_samples = rng.normal(size=(samples, 5)).astype(np.float32)
    m = int(rng.integers(1, samples + 1))
    distances = cdist(wanted.astype(np.float64), given_samples.astype(np.float64))
    found = np.take_along_axis(distances, nearest_rows(wanted, given_samples, m=m), axis=1)
    np.testing.assert_allclose(found, np.sort(distances, axis=1)[:, :m], atol=1e-5)


def test_ties_go_to_the_earlier_row() -> None:
    samples = np.zeros((9, 3), np.float32)
    assert nearest_rows(np.ones((1, 3), np.float32), samples, m=4).tolist() == [[0, 1, 2, 3]]


def test_what_cannot_be_measured_is_refused() -> None:
    one, truth = np.ones((1, 3), np.float32), _truth(["dog"], ["dog"])
    with pytest.raises(ParameterError, match="m = 2"):
        nearest_rows(one, one, m=2)
    with pytest.raises(ParameterError, match="queries"):
        nearest_rows(np.ones((1, 4), np.float32), one, m=1)
    with pytest.raises(ParameterError, match="truth"):
        retrieval_rates(one, np.array(["dog"]), np.ones((2, 3), np.float32), truth, m=1)
    with pytest.raises(ParameterError, match="no query"):
        answer_rates(np.array([], np.str_), np.empty((0, 1), np.str_), np.empty((0, 1), np.str_))
    with pytest.raises(ParameterError, match="sound"):
        answer_rates(np.array(["dog"]), np.array([["dog"]]), np.array([["dog", "dog"]]))
