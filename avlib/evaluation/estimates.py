"""Means over seeds and folds, with the interval that the overlap of training sets asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from avlib.arrays import Float64Array, Int64Array
from avlib.errors import ParameterError


@dataclass(frozen=True)
class Estimate:
    """A mean, and how far to either side its 95 % interval reaches; NaN where fewer than two folds say.

    count: of values.
    """

    mean: float
    margin: float
    count: int


def estimate(values: Float64Array, fold: Int64Array, *, folds: int) -> Estimate:
    """Mean and 95 % interval of what was measured in every fold, for one seed or several; NaN values are left out.

    values, fold: shape (n,), each value and its fold of `folds`.
    Seeds test the same videos again, so they are no new evidence: each fold counts by its mean over the seeds. Folds
    share most of their training samples, so the usual variance of a mean, s² / n, is too small. It is
    s² · (1 / n + 1 / (folds - 1)) of the n fold means, the second term being test over training samples (Nadeau and
    Bengio 2003, Inference for the generalization error), with n - 1 degrees of freedom.
    Raises ParameterError for fewer than two folds.
    """
    if folds < 2:
        raise ParameterError("folds", folds, "2 or more")
    known = ~np.isnan(values)
    values, fold = values[known], fold[known]
    if not len(values):
        return Estimate(math.nan, math.nan, 0)
    of_fold = np.array([values[fold == one].mean() for one in np.unique(fold)])
    mean = float(of_fold.mean())
    if len(of_fold) == 1:
        return Estimate(mean, math.nan, len(values))
    error = math.sqrt(of_fold.var(ddof=1) * (1 / len(of_fold) + 1 / (folds - 1)))
    return Estimate(mean, float(student.ppf(0.975, len(of_fold) - 1)) * error, len(values))
