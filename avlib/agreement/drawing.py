"""Random samples that are the same whatever the order and the number of partitions."""

from __future__ import annotations

import numpy as np

from avlib.arrays import Int64Array

MOST_ACCIDENTAL = 20_000
"""Samples that are scored with other videos' sounds: enough to tell what a score is worth, and they fit a driver."""


def draw_keys(ids: Int64Array, *, seed: int) -> Int64Array:
    """A random number for each id, which hangs on the id and the seed alone (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def drawn(ids: Int64Array, count: int, *, seed: int) -> Int64Array:
    """Rows of a random sample, ascending: those with the smallest `draw_keys`, of equal ones the smallest ids."""
    return np.sort(np.lexsort((ids, draw_keys(ids, seed=seed)))[:count])


def drawn_pieces(pieces: Int64Array, counts: Int64Array, *, seed: int) -> Int64Array:
    """Random pieces that have MOST_ACCIDENTAL samples together at most.

    pieces: shape (p,), each once.  counts: their samples, at most 2^PIECE_BITS each.
    """
    order = np.lexsort((pieces, draw_keys(pieces, seed=seed)))
    return pieces[order[: int(np.searchsorted(np.cumsum(counts[order]), MOST_ACCIDENTAL, side="right"))]]
