"""Of many samples few that sound different from one another (Solèr et al. 2016, §3.3)."""

from __future__ import annotations

import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.errors import ParameterError

_LEAST_ALIKE = 1e-9
"""The spectrum of a graph in parts says nothing of how near they are to one another."""


def canonical(sounds: Float32Array, *, count: int) -> list[int]:
    """Rows of the sounds that stand for groups of like ones.  sounds: shape (n, d), best first, ready for distances.

    Spectral clustering of their mutual distances makes `count` groups (Ng, Jordan and Weiss 2002; labels by pivoted QR,
    which draws nothing at random). The first sound of each group stands for it: what is nearest to the query stays the
    first answer. Returns the rows, ascending; all of them where there are no more than `count` different sounds.
    Raises ParameterError for a count below 1.
    """
    if count < 1:
        raise ParameterError("count", count, "at least 1")
    _, first = np.unique(sounds, axis=0, return_index=True)
    rows = np.sort(first)
    if len(rows) <= count:
        others = [row for row in range(len(sounds)) if row not in set(rows.tolist())]
        return sorted([*rows.tolist(), *others[: count - len(rows)]])
    groups = _groups(distances(sounds[rows]), count) if count > 1 else np.zeros(len(rows), np.int64)
    _, chosen = np.unique(groups, return_index=True)
    return sorted(rows[chosen].tolist())


def distances(sounds: Float32Array) -> Float64Array:
    """Euclidean distances of all pairs.  sounds: shape (n, d). Returns shape (n, n)."""
    wide = sounds.astype(np.float64)
    apart: Float64Array = np.sqrt(np.square(wide[:, None] - wide[None]).sum(axis=2))
    return apart


def _groups(apart: Float64Array, count: int) -> Int64Array:
    from sklearn.cluster import SpectralClustering  # half a second, which only those pay who ask for it

    scale = np.median(apart[np.triu_indices(len(apart), 1)])
    alike = np.maximum(np.exp(-np.square(apart / scale) / 2), _LEAST_ALIKE)
    clustering = SpectralClustering(count, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    groups: Int64Array = clustering.fit_predict(alike).astype(np.int64)
    return groups
