"""Descriptors made short for finding copies: a random projection, which is fitted to nothing.

It keeps distances up to a tenth or so (Johnson and Lindenstrauss 1984), and copies are far nearer to each other than
other videos are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array, Int64Array
from avlib.descriptors import l2_normalise

COMPARED = 512
"""Random samples whose distances say how far apart any two samples are."""

_DIMENSIONS = 64


@dataclass(frozen=True)
class Sketch:
    """x → 64 random directions of it, L2-normalised; a descriptor that is no longer than that stays as it is."""

    seed: int

    def __call__(self, rows: Float32Array) -> Float32Array:
        """rows: shape (n, d), L2-normalised. Returns shape (n, min(d, 64)); of zero rows, zeros."""
        if rows.shape[1] <= _DIMENSIONS:
            return rows
        directions = np.random.default_rng(self.seed).normal(size=(rows.shape[1], _DIMENSIONS))
        # In float64, so that the rounding of a product does not hang on how many rows it has.
        return l2_normalise((rows.astype(np.float64) @ directions).astype(np.float32))


def random_pair_medians(videos: Int64Array, *descriptors: Float32Array) -> tuple[float, ...]:
    """The median distance of samples of different videos, for each descriptor; 0 where there are none.

    videos: shape (n,).  descriptors: shape (n, d) each.
    """
    first, second = np.triu_indices(len(videos), k=1)
    across = videos[first] != videos[second]
    if not across.any():
        return (0.0,) * len(descriptors)
    first, second = first[across], second[across]
    return tuple(
        float(np.median(np.linalg.norm(rows[first].astype(np.float64) - rows[second], axis=1))) for rows in descriptors
    )


def search_weights(medians: tuple[float, ...]) -> tuple[float, float] | None:
    """w_V, w_A by which any two samples are 1 apart, half of it by picture and half by sound.

    So samples of the same picture with any two sounds are 0.5 apart, and no copies. None where pictures or sounds are
    all the same, or of one video: nothing tells copies apart.
    """
    visual, audio = medians
    return (0.5 / visual, 0.5 / audio) if visual > 0 and audio > 0 else None
