"""Means over seeds and folds, with the interval that the overlap of training sets asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from avlib.arrays import Float64Array
from avlib.errors import ParameterError


@dataclass(frozen=True)
class Estimate:
    """A mean, and how far to either side its 95 % interval reaches; NaN where fewer than two values say."""

    mean: float
    margin: float
    count: int


def estimate(values: Float64Array, *, folds: int) -> Estimate:
    """Mean and 95 % interval of what was measured in every fold, for one seed or several; NaN values are left out.

    Folds share most of their training samples and seeds all their test videos, so the usual variance of a mean, s² / n,
    is too small. It is s² · (1 / n + 1 / (folds - 1)), the second term being test over training samples (Nadeau and
    Bengio 2003, Inference for the generalization error), with n - 1 degrees of freedom.
    Raises ParameterError for fewer than two folds.
    """
    if folds < 2:
        raise ParameterError("folds", folds, "2 or more")
    known = values[~np.isnan(values)]
    if not len(known):
        return Estimate(math.nan, math.nan, 0)
    if len(known) == 1:
        return Estimate(float(known[0]), math.nan, 1)
    error = math.sqrt(known.var(ddof=1) * (1 / len(known) + 1 / (folds - 1)))
    return Estimate(float(known.mean()), float(student.ppf(0.975, len(known) - 1)) * error, len(known))
