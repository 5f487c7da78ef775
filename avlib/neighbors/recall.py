"""How many cells must be probed: the recall of mutual edges for every number, from exact lists of a random sample.

A true neighbor that a search compared is always listed: what stands before it in the list would in the exact list
too. So an exact mutual edge (i, j) is found if and only if the pair is compared: where i probes at least as many cells
as the rank of j's cell among its own, or j as the rank of i's. What is needed for each edge is known without a trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avlib.arrays import BoolArray, Int32Array, Int64Array
from avlib.errors import ParameterError
from avlib.neighbors.block import NeighborLists


@dataclass(frozen=True)
class ProbeChoice:
    """How many cells to probe, and the recall of mutual edges to expect of it.

    recall: below the target where all the probes that were looked at do not reach it; 1 without any edge.
    standard_error: of the recall. Edges of one sample are not independent, so it is reckoned by samples (a ratio
        estimate, Cochran 1977, §6.4); not a number for fewer than two samples with edges.
    """

    probes: int
    recall: float
    standard_error: float


def named_ids(lists: NeighborLists) -> Int64Array:
    """The samples that lists name, ascending, each once: those whose lists it takes to tell mutual edges."""
    return np.unique(lists.neighbor_ids[lists.neighbor_ids >= 0])


def mutual_edges_at(sample_ids: Int64Array, lists: NeighborLists) -> tuple[Int64Array, Int64Array]:
    """The mutual edges of some samples, from lists that hold theirs and those of all samples that these name.

    sample_ids: shape (m,), each once.
    Returns (sample, other), two shapes (edges,), in ascending order; an edge between two of the samples comes twice.
    Raises ParameterError where a list is missing.
    """
    order = np.argsort(lists.ids)
    ids, neighbor_ids = lists.ids[order], lists.neighbor_ids[order]
    named = neighbor_ids[_places(np.sort(sample_ids), ids)]
    sample, other = np.repeat(np.sort(sample_ids), named.shape[1])[named.ravel() >= 0], named[named >= 0]
    mutual = (neighbor_ids[_places(other, ids)] == sample[:, None]).any(axis=1)
    sample, other = sample[mutual], other[mutual]
    order = np.lexsort((other, sample))
    return sample[order], other[order]


def needed_probes(sample_probes: Int32Array, other_probes: Int32Array) -> Int64Array:
    """How many cells have to be probed for the two samples of each edge to be compared.

    sample_probes, other_probes: shape (edges, n), int32, the cells that either end probes, its own first.
    Returns shape (edges,): 1 to n, or n + 1 where n are not enough.
    """
    return np.minimum(_rank(sample_probes, other_probes[:, 0]), _rank(other_probes, sample_probes[:, 0])) + 1


def choose_probes(needed: Int64Array, sample: Int64Array, *, target: float, most: int) -> ProbeChoice:
    """The smallest number of probes whose recall of the edges reaches the target, or `most`.

    needed: shape (edges,), as from `needed_probes`.  sample: shape (edges,), the id of each edge's sampled end.
    """
    if not 0 <= target <= 1:
        raise ParameterError("target", target, "0 to 1")
    recalls = ((probes, *_share(needed <= probes, sample)) for probes in range(1, most + 1))
    best = next((found for found in recalls if found[1] >= target), (most, *_share(needed <= most, sample)))
    return ProbeChoice(*best)


def mutual_edge_recall(approximate: NeighborLists, exact: NeighborLists, *, sample_ids: Int64Array) -> float:
    """The share of the exact mutual edges at some samples that are mutual in the approximate lists too.

    Both must hold the lists of these samples and of those that they name. 1 without any edge.
    """
    true, found = (
        {(int(i), int(j)) for i, j in zip(*mutual_edges_at(sample_ids, lists), strict=True)}
        for lists in (exact, approximate)
    )
    return len(true & found) / len(true) if true else 1.0


def _places(wanted: Int64Array, ids: Int64Array) -> Int64Array:
    missing = np.setdiff1d(wanted, ids)
    if len(missing):
        raise ParameterError("lists", f"no list of {missing[0]}", "the lists of the samples, and of those they name")
    return np.searchsorted(ids, wanted)


def _rank(probes: Int32Array, cells: Int32Array) -> Int64Array:
    same = np.column_stack([probes == cells[:, None], np.ones(len(probes), np.bool_)])
    ranks: Int64Array = np.argmax(same, axis=1)
    return ranks


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
