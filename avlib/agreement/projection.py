"""Descriptors made short, so that those of a neighbor can travel with it.

Pictures keep their distances as well as so many numbers can. So do sounds described by a network that was trained for
it. MFCCs are whitened: many of them say the same, and these would decide alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array, Float64Array
from avlib.descriptors import l2_normalise
from avlib.errors import ParameterError

_LEAST_DEVIATION = 1e-3
"""Of the largest: a direction in which sounds vary less is noise that whitening would blow up."""


@dataclass(frozen=True, eq=False)
class Projection:
    """x → (x - mean) · matrix, L2-normalised.  mean: shape (d,).  matrix: shape (d, k)."""

    mean: Float64Array
    matrix: Float64Array

    def __call__(self, raw: Float32Array) -> Float32Array:
        """Raw descriptors, shape (n, d), made short: (n, k), of length 1, or 0 where nothing is left."""
        if raw.ndim != 2 or raw.shape[1] != len(self.mean):
            raise ParameterError("raw", f"shape {raw.shape}", f"shape (n, {len(self.mean)})")
        return l2_normalise(((raw - self.mean) @ self.matrix).astype(np.float32))


def fit_pictures(raw: Float32Array, *, dimensions: int) -> Projection:
    """The directions that keep most of the L2-normalised descriptors, not centred: distances stay what they were.

    raw: shape (n, d), n ≥ 1. At most `dimensions`, n and d directions.
    """
    rows = l2_normalise(raw).astype(np.float64)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    return Projection(np.zeros(raw.shape[1]), directions[:dimensions].T)


def fit_sounds(raw: Float32Array, *, dimensions: int, whiten: bool = True) -> Projection:
    """The principal components of the standardised descriptors, each scaled to deviation 1 where they are whitened.

    raw: shape (n, d), n ≥ 1. At most `dimensions`, n and d of them; none in which they hardly vary.
    """
    mean, deviation = raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64)
    scale = np.where(deviation == 0, 0.0, 1 / np.where(deviation == 0, 1.0, deviation))
    _, sizes, directions = np.linalg.svd((raw - mean) * scale, full_matrices=False)
    varies = (sizes > _LEAST_DEVIATION * sizes.max(initial=0.0)) & (np.arange(len(sizes)) < dimensions)
    components = directions[varies].T
    if whiten:
        components = components * (np.sqrt(len(raw)) / sizes[varies])
    return Projection(mean, scale[:, None] * components)
