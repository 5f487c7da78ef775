"""How often suggestions for held-out pictures are right, by their categories (cf. Solèr et al. 2016, §4).

Right is judged by labels at the time of the sample, not by the video as a whole: a dog's picture under which
music plays is no dog's sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.errors import ParameterError
from avlib.evaluation.labels import StrArray, Truth


@dataclass(frozen=True)
class RetrievalRates:
    """Shares of queries, in [0, 1].

    best_*: the nearest sample has the query's category.  majority_*: it is the most frequent one among the
    nearest m; of t equally frequent ones each counts 1 / t.  *_sound: by what is heard, *_picture: by what is
    seen.
    """

    queries: int
    m: int
    best_sound: float
    majority_sound: float
    best_picture: float
    majority_picture: float


def retrieval_rates(
    queries: Float32Array, categories: StrArray, samples: Float32Array, truth: Truth, *, m: int
) -> RetrievalRates:
    """Rates of the m nearest samples, found by comparing every query with every sample.

    queries: shape (q, d).  categories: shape (q,).  samples: shape (n, d).  truth: of the samples, (n,).
    Descriptors are L2-normalised.
    Raises ParameterError for shapes that do not fit, no query, or m not in [1, n].
    """
    rows = nearest_rows(queries, samples, m=m)
    if truth.sound.shape != (len(samples),):
        raise ParameterError("truth", truth.sound.shape, f"one for each sample, ({len(samples)},)")
    return answer_rates(categories, truth.sound[rows], truth.picture[rows])


def nearest_rows(queries: Float32Array, samples: Float32Array, *, m: int) -> Int64Array:
    """The m nearest samples of each query by Euclidean distance, ascending, ties by row. Shape (q, m)."""
    if queries.ndim != 2 or samples.ndim != 2 or queries.shape[1] != samples.shape[1]:
        raise ParameterError("queries", queries.shape, f"shape (q, d) with the samples' d, {samples.shape}")
    if not 1 <= m <= len(samples):
        raise ParameterError("m", m, f"1 to the number of samples, {len(samples)}")
    # More than asked for, so that a tie at the m-th place is decided by row and not by the heap's order.
    distances, rows = faiss.knn(
        np.ascontiguousarray(queries), np.ascontiguousarray(samples), min(len(samples), 2 * m + 8)
    )
    order = np.lexsort((rows, distances), axis=-1)[:, :m]
    return np.take_along_axis(rows, order, axis=1)


def answer_rates(categories: StrArray, sound: StrArray, picture: StrArray) -> RetrievalRates:
    """Rates of answers that were found elsewhere, best first.

    categories: shape (q,).  sound, picture: shape (q, m), the answers' categories; empty where one is missing
    or not labelled, which is never right.
    Raises ParameterError where shapes do not fit or there is no query.
    """
    if not len(categories):
        raise ParameterError("categories", "no query", "one at least")
    if sound.shape != picture.shape or sound.ndim != 2 or len(sound) != len(categories) or not sound.shape[1]:
        raise ParameterError("sound", sound.shape, f"shape ({len(categories)}, m), as of picture: {picture.shape}")
    return RetrievalRates(
        queries=len(categories),
        m=sound.shape[1],
        best_sound=float((sound[:, 0] == categories).mean()),
        majority_sound=float(_majority(categories, sound).mean()),
        best_picture=float((picture[:, 0] == categories).mean()),
        majority_picture=float(_majority(categories, picture).mean()),
    )


def _majority(categories: StrArray, answers: StrArray) -> Float64Array:
    """1 / t where a query's category is one of the t most frequent among its answers, else 0. Shape (q,)."""
    shares = np.zeros(len(categories))
    for query, (category, row) in enumerate(zip(categories, answers, strict=True)):
        found, counts = np.unique(row[row != ""], return_counts=True)
        leading = found[counts == counts.max()] if len(found) else found
        shares[query] = 1 / len(leading) if category in leading else 0.0
    return shares
