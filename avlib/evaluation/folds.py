"""Cross-validation by video: all samples of a video are in one fold, so that no shot is on both sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avlib.arrays import Int64Array
from avlib.errors import ParameterError
from avlib.evaluation.labels import StrArray


def video_folds(videos: Int64Array, categories: StrArray, *, folds: int, seed: Sequence[int]) -> Int64Array:
    """The fold of every sample, 0 to folds - 1. Shape (n,).

    videos, categories: shape (n,). A video counts to the category most of its samples have. Videos are dealt to folds
    category by category in random order, so that folds differ by one video at most, in all and of any category.
    Raises ParameterError for fewer than two folds or fewer videos than folds.
    """
    found, of_sample = np.unique(videos, return_inverse=True)
    if not 2 <= folds <= len(found):
        raise ParameterError("folds", folds, f"2 to the number of videos, {len(found)}")
    names, codes = np.unique(categories, return_inverse=True)
    counts = np.zeros((len(found), len(names)), np.int64)
    np.add.at(counts, (of_sample, codes), 1)
    shuffled = np.random.default_rng(seed).permutation(len(found))
    dealt = shuffled[np.argsort(counts.argmax(axis=1)[shuffled], kind="stable")]
    fold = np.empty(len(found), np.int64)
    fold[dealt] = np.arange(len(found)) % folds
    return fold[of_sample]
