"""Detection and ranking against scikit-learn, against all orders counted out, and by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, ndcg_score, precision_score, recall_score, roc_auc_score

from avlib.errors import ParameterError
from avlib.evaluation.detection import auroc, average_precision, by_category, category_shift, detection
from avlib.evaluation.estimates import estimate
from avlib.evaluation.ranking import chance_scores, ranked_relevance, ranking_scores

seeds = st.integers(0, 2**32 - 1)


@given(st.integers(4, 80), seeds)
def test_detection_equals_scikit_learn(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    clean, kept = random.random(count) < 0.6, random.random(count) < 0.5
    score = random.integers(0, 6, count) / 3.0  # many ties
    assume(clean.any() and not clean.all() and kept.any())
    found = detection(clean, kept, score=score)
    assert found.precision == pytest.approx(precision_score(clean, kept))
    assert found.recall == pytest.approx(recall_score(clean, kept))
    assert found.f1 == pytest.approx(f1_score(clean, kept))
    assert found.auroc == pytest.approx(roc_auc_score(clean, score))
    assert found.average_precision == pytest.approx(average_precision_score(clean, score))
    assert detection(clean, kept).auroc == pytest.approx(roc_auc_score(clean, kept))


def test_detection_by_hand() -> None:
    clean = np.array([1, 1, 1, 0, 0], bool)
    found = detection(clean, np.array([1, 1, 0, 1, 0], bool), score=np.array([0.9, 0.4, 0.3, 0.5, 0.1]))
    assert astuple(found) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 4 / 6, (1 + 2 / 3 + 3 / 4) / 3))


def test_a_perfect_filter_scores_1_and_a_blind_one_chance() -> None:
    clean = np.array([1, 0, 1, 1], bool)
    assert astuple(detection(clean, clean)) == (1.0, 1.0, 1.0, 1.0, 1.0)
    everything = detection(clean, np.ones(4, bool))
    assert (everything.auroc, everything.average_precision, everything.precision) == (0.5, 0.75, 0.75)


def test_what_is_not_defined_is_nan() -> None:
    none = np.zeros(3, bool)
    nothing_kept = detection(np.array([1, 0, 1], bool), none)
    assert math.isnan(nothing_kept.precision) and nothing_kept.recall == nothing_kept.f1 == 0
    assert math.isnan(auroc(none, np.ones(3))) and math.isnan(average_precision(none, np.ones(3)))
    assert math.isnan(category_shift(none, np.array(["a", "b", "b"])))
    with pytest.raises(ParameterError, match="shape of clean"):
        detection(none, np.zeros(4, bool))


def test_categories_are_looked_at_one_by_one() -> None:
    clean, kept = np.array([1, 1, 0, 1, 0], bool), np.array([1, 0, 0, 1, 1], bool)
    categories = np.array(["sea", "sea", "sea", "dog", "dog"])
    found = by_category(clean, kept, categories)
    assert list(found) == ["dog", "sea"]
    assert (found["sea"].precision, found["sea"].recall, found["dog"].precision) == (1.0, 0.5, 0.5)
    assert category_shift(kept, categories) == pytest.approx(2 / 3 - 2 / 5)
    assert category_shift(np.ones(5, bool), categories) == 0


@given(st.integers(1, 6), st.integers(2, 60), seeds)
def test_ranking_equals_scikit_learn(queries: int, samples: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    relevant = random.random((queries, samples)) < 0.3
    relevant[:, random.integers(samples)] = True
    found = ranking_scores(relevant)
    descending = np.tile(np.arange(samples, 0, -1.0), (queries, 1))
    expected = [average_precision_score(row, scores) for row, scores in zip(relevant, descending, strict=True)]
    assert found.map == pytest.approx(np.mean(expected))
    assert found.ndcg_30 == pytest.approx(ndcg_score(relevant, descending, k=30))
    assert found.recall_5 == pytest.approx(np.mean([row[:5].any() for row in relevant]))


def test_ranking_by_hand() -> None:
    relevant = np.zeros((3, 12), bool)
    relevant[0, [1, 3]] = True  # AP (1/2 + 2/4) / 2
    relevant[1, [7]] = True  # AP 1/8; nothing is right for the third
    found = ranking_scores(relevant)
    ideal = 1 + 1 / math.log2(3)
    gained = (1 / math.log2(3) + 1 / math.log2(5)) / ideal + 1 / math.log2(9)
    assert astuple(found) == pytest.approx((0, 1 / 3, 2 / 3, (0.5 + 0.125) / 3, gained / 3))


@pytest.mark.parametrize(("samples", "right"), [(1, 1), (5, 0), (5, 1), (6, 2), (6, 6)])
def test_chance_is_the_mean_over_all_orders(samples: int, right: int) -> None:
    orders = np.array([[place in places for place in range(samples)]
                       for places in itertools.combinations(range(samples), right)])  # fmt: skip
    assert astuple(chance_scores(np.array([right]), samples=samples)) == pytest.approx(astuple(ranking_scores(orders)))


def test_chance_of_several_queries_is_their_mean() -> None:
    one, three = (astuple(chance_scores(np.array([right]), samples=40)) for right in (1, 3))
    both = astuple(chance_scores(np.array([1, 3]), samples=40))
    assert both == pytest.approx(np.mean([one, three], axis=0))
    assert one[:3] == pytest.approx((1 / 40, 5 / 40, 10 / 40))


def test_samples_are_ranked_by_distance_not_by_product() -> None:
    samples = np.array([[2, 0], [0.9, 0], [0.9, 0], [0, 1]], np.float32)
    categories = np.array(["dog", "sea", "dog", "sea"])
    found = ranked_relevance(np.array([[1, 0]], np.float32), np.array(["sea"]), samples, categories)
    assert found.tolist() == [[True, False, False, True]]  # rows 1, 2 (a tie), 0, 3


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ParameterError, match="relevant"):
        ranking_scores(np.zeros((0, 3), bool))
    with pytest.raises(ParameterError, match="right"):
        chance_scores(np.array([4]), samples=3)
    with pytest.raises(ParameterError, match="queries"):
        ranked_relevance(np.ones((1, 3), np.float32), np.array(["a"]), np.ones((2, 4), np.float32), np.array(["a"] * 2))


def test_an_interval_by_hand() -> None:
    fold = np.array([0, 1, 2, 3, 2])
    found = estimate(np.array([0.5, 0.7, 0.5, np.nan, 0.7]), fold, folds=5)  # folds of 0.5, 0.7 and 0.6
    assert (found.mean, found.count) == (pytest.approx(0.6), 4)
    assert found.margin == pytest.approx(4.302653 * math.sqrt(0.01 * (1 / 3 + 1 / 4)))  # t of 2 degrees of freedom
    assert math.isnan(estimate(np.array([0.5, 0.6]), np.array([1, 1]), folds=5).margin)
    assert estimate(np.array([np.nan]), np.array([0]), folds=5).count == 0
    with pytest.raises(ParameterError, match="folds"):
        estimate(np.ones(3), np.arange(3), folds=1)


@pytest.mark.parametrize("of_seed", [0.0, 0.3, 1.0])
def test_the_interval_covers(of_seed: float) -> None:
    """Folds share a part, and seeds of a fold most of theirs: 95 % of the means stay inside, however many seeds."""
    random = np.random.default_rng(0)
    fold, inside = np.repeat(np.arange(5), 5), 0
    for _ in range(1000):
        of_fold = random.normal(scale=0.5) + random.normal(size=5)  # correlation 0.2 = 1 / folds between any two
        found = estimate(of_fold[fold] + of_seed * random.normal(size=25), fold, folds=5)
        inside += abs(found.mean) <= found.margin
    assert 0.93 < inside / 1000 < 0.98
