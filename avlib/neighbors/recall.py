"""How far cells must be probed: the recall of mutual edges for every reach, from exact lists of a random sample.

A sample probes the cells that are at most `reach` times as far from it as its own: those of a sample between cells are
many, those of one amid its cell few. A true neighbor that a search compared is always listed: what stands before it in
the list would in the exact list too. So an exact mutual edge (i, j) is found if and only if the pair is compared: where
i probes the cell of j, or j the cell of i. What reach each edge needs is known without a trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avlib.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from avlib.errors import ParameterError
from avlib.neighbors.block import NeighborLists

Pairs = tuple[Int64Array, Int64Array]
"""Samples and others, two shapes (n,)."""


@dataclass(frozen=True)
class ReachChoice:
    """How far to probe, and the recall of mutual edges to expect of it.

    reach: 1 or more.
    recall: of the sample that the reach was chosen by; below the target where all the probes that were looked at do
        not reach it; 1 without any edge.
    standard_error: of the recall. Edges of one sample are not independent, so it is reckoned by samples (a ratio
        estimate, Cochran 1977, §6.4); not a number for fewer than two samples with edges.
    """

    reach: float
    recall: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class Probes:
    """The cells that samples may probe, nearest first, and how far they are.

    cells: shape (n, p), int32.  reaches: shape (n, p), float64, how many times as far as the first.
    """

    cells: Int32Array
    reaches: Float64Array

    def take(self, rows: Int64Array) -> Probes:
        """Those of the samples in these rows."""
        return Probes(self.cells[rows], self.reaches[rows])


def named_pairs(lists: NeighborLists, *, most: int | None = None, seed: int = 0) -> Pairs:
    """Each sample with those that its list names, or with so many of them at most, drawn at random.

    Of pairs that were drawn a short list, which a rule may leave, has a greater share than it has of all.
    Returns (sample, other), two shapes (pairs,), ids, in ascending order.
    """
    named = lists.neighbor_ids >= 0
    if most is not None:
        order = np.random.default_rng(seed).permuted(np.tile(np.arange(named.shape[1]), (len(named), 1)), axis=1)
        drawn = np.take_along_axis(named, order, axis=1)
        np.put_along_axis(named, order, drawn & (drawn.cumsum(axis=1) <= most), axis=1)
    row, place = np.nonzero(named)
    sample, other = lists.ids[row], lists.neighbor_ids[row, place]
    order = np.lexsort((other, sample))
    return sample[order], other[order]


def mutual(pairs: Pairs, lists: NeighborLists) -> Pairs:
    """Those of the named pairs in which the other names the sample too: mutual edges. Their order stays.

    lists: of the others at least. Raises ParameterError where one is missing.
    """
    sample, other = pairs
    order = np.argsort(lists.ids)
    places = np.searchsorted(lists.ids[order], other)
    missing = np.setdiff1d(other, lists.ids)
    if len(missing):
        raise ParameterError("lists", f"no list of {missing[0]}", "the lists of all that the pairs name")
    both = (lists.neighbor_ids[order][places] == sample[:, None]).any(axis=1)
    return sample[both], other[both]


def needed_reach(sample: Probes, other: Probes) -> Float64Array:
    """How far has to be probed for the two samples of each edge to be compared.

    sample, other: what either end may probe.
    Returns shape (edges,): 1 or more, inf where neither has the other's cell.
    """
    return np.minimum(_reach(sample, other.cells[:, 0]), _reach(other, sample.cells[:, 0]))


def choose_reach(needed: Float64Array, sample: Int64Array, *, target: float) -> ReachChoice:
    """The smallest reach whose recall of the edges is the target; else the one that finds all that can be found.

    needed: shape (edges,), as from `needed_reach`.  sample: shape (edges,), the id of each edge's sampled end.
    """
    if not 0 <= target <= 1:
        raise ParameterError("target", target, "0 to 1")
    reachable = np.sort(needed[np.isfinite(needed)])
    wanted = min(math.ceil(target * len(needed) - 1e-9), len(reachable))
    reach = float(reachable[wanted - 1]) if wanted else 1.0
    return ReachChoice(reach, *_share(needed <= reach, sample))


def _reach(probes: Probes, cells: Int32Array) -> Float64Array:
    # Of each row's cell; inf where it is not among the row's probes.
    reaches: Float64Array = np.where(probes.cells == cells[:, None], probes.reaches, np.inf).min(axis=1)
    return reaches


def _share(found: BoolArray, sample: Int64Array) -> tuple[float, float]:
    # The share of edges that are found, and its standard error over samples.
    if not len(found):
        return 1.0, math.nan
    _, place = np.unique(sample, return_inverse=True)
    edges = np.bincount(place)
    share = np.count_nonzero(found) / len(found)
    if len(edges) < 2:
        return share, math.nan
    residuals = np.bincount(place, weights=found) - share * edges
    return share, float(np.sqrt(len(edges) / (len(edges) - 1) * np.square(residuals).sum()) / len(found))
