"""A filter seen as a detector of clean samples: what it keeps, or its score, against the labels.

Definitions as in scikit-learn; a share of nothing is NaN, not 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from avlib.arrays import BoolArray, Float64Array
from avlib.errors import ParameterError
from avlib.evaluation.labels import StrArray


@dataclass(frozen=True)
class Detection:
    """precision: clean ones among the kept.  recall: kept ones among the clean.  f1: their harmonic mean.

    auroc: how often a clean sample scores above another one, ties counting half.  average_precision: mean of the
    precision at each clean sample, in the order of the scores. Without scores kept ones score 1, others 0; then
    auroc is the mean of the shares of clean kept and others dropped.
    """

    precision: float
    recall: float
    f1: float
    auroc: float
    average_precision: float


def detection(clean: BoolArray, kept: BoolArray, *, score: Float64Array | None = None) -> Detection:
    """How well a filter finds the clean samples.

    clean, kept: shape (n,).  score: shape (n,), larger for what looks cleaner.
    Raises ParameterError where shapes differ.
    """
    score = kept.astype(np.float64) if score is None else score
    if not clean.shape == kept.shape == score.shape or clean.ndim != 1:
        raise ParameterError("kept, score", (kept.shape, score.shape), f"the shape of clean, {clean.shape}")
    hits = int((clean & kept).sum())
    return Detection(
        precision=_share(hits, int(kept.sum())),
        recall=_share(hits, int(clean.sum())),
        f1=_share(2 * hits, int(kept.sum()) + int(clean.sum())),
        auroc=auroc(clean, score),
        average_precision=average_precision(clean, score),
    )


def auroc(clean: BoolArray, score: Float64Array) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic over its maximum. NaN unless there are both kinds."""
    positives, negatives = int(clean.sum()), int((~clean).sum())
    if not positives or not negatives:
        return float("nan")
    wins = rankdata(score)[clean].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def average_precision(clean: BoolArray, score: Float64Array) -> float:
    """Σ (R_t - R_t-1) · P_t over the distinct scores t, from the highest. NaN where nothing is clean."""
    if not clean.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    hits = np.cumsum(clean[order])[last_of_score]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (last_of_score + 1)).sum() / clean.sum())


def by_category(
    clean: BoolArray, kept: BoolArray, categories: StrArray, *, score: Float64Array | None = None
) -> dict[str, Detection]:
    """`detection` among the samples of each category, in alphabetical order. categories: shape (n,)."""
    of_category = ((str(name), categories == name) for name in np.unique(categories))
    return {
        name: detection(clean[here], kept[here], score=None if score is None else score[here])
        for name, here in of_category
    }


def category_shift(kept: BoolArray, categories: StrArray) -> float:
    """How much the filter moves the balance of the categories, in [0, 1]: half the sum of the changes of their shares.

    0: all categories have the share they had. NaN where nothing is kept.
    """
    if not kept.any():
        return float("nan")
    codes = np.unique(categories, return_inverse=True)[1]
    before = np.bincount(codes) / len(codes)
    after = np.bincount(codes[kept], minlength=len(before)) / kept.sum()
    return float(np.abs(after - before).sum() / 2)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
