"""Cross-modal retrieval: how high the right ones come when all samples are ranked for a query.

A query picture ranks samples by their pictures, and those with a sound of its category are right; a query sound ranks
them by their sounds, and those with a picture of its category are right. R@K is the share of queries with a right one
among the first K. A query that nothing is right for scores 0.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.errors import ParameterError
from avlib.evaluation.labels import StrArray

NDCG_DEPTH = 30

_QUERIES = 256  # ranked at a time: every sample has a place in every ranking

_DEPTHS = (1, 5, 10)  # K of R@K


@dataclass(frozen=True)
class RankingScores:
    """Means over the queries, in [0, 1].  recall_K: R@K.  map: mean average precision.  ndcg_30: nDCG of the first 30.

    Gains of nDCG are 1 for right and 0 for wrong, discounted by log2(1 + rank).
    """

    recall_1: float
    recall_5: float
    recall_10: float
    map: float
    ndcg_30: float


def ranked_relevance(queries: Float32Array, wanted: StrArray, samples: Float32Array, categories: StrArray) -> BoolArray:
    """Whether each sample is right for each query, nearest samples first, ties by row. Shape (q, n).

    queries: shape (q, d).  wanted: shape (q,), their categories.  samples: shape (n, d).  categories: shape (n,).
    """
    if queries.ndim != 2 or samples.ndim != 2 or queries.shape[1] != samples.shape[1]:
        raise ParameterError("queries", queries.shape, f"shape (q, d) with the samples' d, {samples.shape}")
    squares = np.einsum("ij,ij->i", samples, samples)
    order = np.argsort(squares - 2 * (queries @ samples.T), axis=1, kind="stable")
    codes = np.unique(np.concatenate([wanted, categories]), return_inverse=True)[1]  # words take ten times the room
    right: BoolArray = codes[len(wanted) :][order] == codes[: len(wanted), None]
    return right


def retrieval_scores(
    queries: Float32Array, wanted: StrArray, samples: Float32Array, categories: StrArray
) -> RankingScores:
    """`ranking_scores` of `ranked_relevance`, some queries at a time, so that memory grows with the samples alone."""
    parts = [slice(start, start + _QUERIES) for start in range(0, len(queries), _QUERIES)]
    scores = [ranking_scores(ranked_relevance(queries[part], wanted[part], samples, categories)) for part in parts]
    weights = [len(queries[part]) for part in parts]
    return RankingScores(*np.average([astuple(score) for score in scores], axis=0, weights=weights).tolist())


def ranking_scores(relevant: BoolArray) -> RankingScores:
    """Scores of rankings. relevant: shape (q, n), best ranked first. Raises ParameterError for no query."""
    if relevant.ndim != 2 or not len(relevant):
        raise ParameterError("relevant", relevant.shape, "shape (q, n), one query at least")
    if not relevant.shape[1]:
        return RankingScores(0.0, 0.0, 0.0, 0.0, 0.0)
    right = relevant.sum(axis=1)
    ranks = np.arange(1, relevant.shape[1] + 1)
    precision = np.cumsum(relevant, axis=1) / ranks
    average_precision = (precision * relevant).sum(axis=1) / np.maximum(right, 1)
    gain = (relevant[:, :NDCG_DEPTH] / np.log2(1 + ranks[:NDCG_DEPTH])).sum(axis=1)
    hits = [relevant[:, :depth].max(axis=1).astype(np.float64) for depth in _DEPTHS]
    return _means(hits, average_precision, gain / _ideal_gain(right))


def chance_scores(right: Int64Array, *, samples: int) -> RankingScores:
    """The exact mean of `ranking_scores` over all orders of the samples.

    right: shape (q,), how many of them are right for each query.  samples: their number, 1 or more.
    Raises ParameterError where a query has more right samples than there are.
    """
    if not len(right) or samples < 1 or not 0 <= right.min() <= right.max() <= samples:
        raise ParameterError("right", right, f"numbers from 0 to {samples}")
    ranks = np.arange(1, samples + 1)
    # A right sample stands at each rank with equal chance; of the others before it (right - 1) / (n - 1) are right.
    others = (right - 1) / max(samples - 1, 1)
    average_precision = ((1 / ranks).mean() * (1 - others) + others) * (right > 0)
    gain = right / samples * (1 / np.log2(1 + ranks[:NDCG_DEPTH])).sum()
    hits = [_hit_chance(right, samples, depth) for depth in _DEPTHS]
    return _means(hits, average_precision, gain / _ideal_gain(right))


def _means(hits: list[Float64Array], average_precision: Float64Array, ndcg: Float64Array) -> RankingScores:
    first, fifth, tenth = (float(hit.mean()) for hit in hits)
    return RankingScores(first, fifth, tenth, float(average_precision.mean()), float(ndcg.mean()))


def _hit_chance(right: Int64Array, samples: int, depth: int) -> Float64Array:
    """1 - C(n - r, K) / C(n, K): not all of the first K are wrong."""
    drawn = np.arange(min(depth, samples))
    miss = np.maximum(samples - right[:, None] - drawn, 0) / (samples - drawn)
    return np.asarray(1 - miss.prod(axis=1))


def _ideal_gain(right: Int64Array) -> Float64Array:
    """The gain of a perfect ranking; 1 where nothing is right, so that 0 divided by it stays 0."""
    ideal = np.cumsum(1 / np.log2(1 + np.arange(1, NDCG_DEPTH + 1)))
    return np.where(right > 0, ideal[np.clip(right, 1, NDCG_DEPTH) - 1], 1.0)
