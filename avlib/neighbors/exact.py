"""Exact k nearest neighbors by a weighted sum of two distances (Solèr et al. 2016, Eq. 1).

    d(i, j) = w_V · ‖v_i - v_j‖ + w_A · ‖a_i - a_j‖

All pairs are compared, tile by tile: one matrix product per modality, then `kernel.fold`. The lists do not
depend on how the samples are cut into blocks or in which order the blocks come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from avlib.arrays import Float32Array, Int64Array
from avlib.errors import ParameterError
from avlib.neighbors import kernel
from avlib.neighbors.block import Block, NeighborLists, NeighborRule, check_k
from avlib.neighbors.kernel import Lists, Search, Side

Scalar = TypeVar("Scalar", bound=np.generic)

QUERY_ROWS, BLOCK_ROWS = 512, 1024  # two float32 tiles of 2 MB: they stay in cache
_EXCLUDE = {"none": kernel.NONE, "same_video": kernel.SAME_VIDEO, "window": kernel.WINDOW}


def nearest(
    queries: Block, blocks: Iterable[Block], *, weights: tuple[float, float], k: int, rule: NeighborRule
) -> NeighborLists:
    """The k nearest samples of every query among all blocks.

    weights: (w_V, w_A), not negative, one at least positive; a modality of weight 0 is not looked at.
    Returns lists in the order of the queries, shorter than k (padded) where the blocks hold too few samples
    that the rule allows. `NeighborRule.check` is the test for a whole collection.
    Raises ParameterError for k below 1, such weights, and blocks whose dimensions differ from the queries'.
    """
    search = _search(weights, k, rule)
    query_side = _side(queries)
    lists = _empty_lists(len(queries), k)
    for block in blocks:
        _check_dimensions(queries, block, weights)
        _fold_tiles(query_side, _side(_ascending(block)), search, lists)
    return NeighborLists(queries.ids, lists.ids, lists.distances)


def nearest_within(
    samples: Block, components: Int64Array, *, weights: tuple[float, float], k: Int64Array, rule: NeighborRule
) -> NeighborLists:
    """The nearest samples of every sample inside its own component. Made for very many small components.

    components: shape (n,), any int64 label.  k: shape (n,), the same for all samples of a component.
    Returns lists in the order of the samples, max(k) wide.
    """
    if components.shape != samples.ids.shape or k.shape != samples.ids.shape:
        raise ParameterError("components, k", (components.shape, k.shape), f"twice {samples.ids.shape}")
    width = int(k.max(initial=1))
    check_k(int(k.min(initial=1)))
    order = np.lexsort((samples.ids, components))
    side = _side(samples.take(order))
    lists = _empty_lists(len(samples), width)
    for start, stop in _runs(components[order]):
        rows = _rows(side, start, stop)
        within = Lists(lists.ids[start:stop], lists.distances[start:stop])
        _fold_tiles(rows, rows, _search(weights, int(k[order[start]]), rule), within)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return NeighborLists(samples.ids, lists.ids[back], lists.distances[back])


def _ascending(block: Block) -> Block:
    # Of exact duplicates the smallest ids are listed: seen first, they keep the others out cheaply.
    return block if (np.diff(block.ids) > 0).all() else block.take(np.argsort(block.ids))


def _search(weights: tuple[float, float], k: int, rule: NeighborRule) -> Search:
    check_k(k)
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ParameterError("weights", weights, "w_V and w_A of 0 or more, not both 0")
    w_visual, w_audio = map(float, weights)
    return Search(k, w_visual, w_audio, _EXCLUDE[rule.exclude], float(rule.exclude_s), rule.per_video)


def _check_dimensions(queries: Block, block: Block, weights: tuple[float, float]) -> None:
    pairs = (("visual", queries.visual, block.visual), ("audio", queries.audio, block.audio))
    for (name, query, other), weight in zip(pairs, weights, strict=True):
        expected, found = query.shape[1], other.shape[1]
        if weight and found != expected:
            raise ParameterError(name, f"{found}-d in a block", f"{expected}-d, as in the queries")


def _fold_tiles(queries: Side, block: Side, search: Search, lists: Lists) -> None:
    nothing = np.empty((0, 0), np.float32)
    for i, i_stop in _tiles(len(queries.ids), QUERY_ROWS):
        query_rows = _rows(queries, i, i_stop)
        rows = Lists(lists.ids[i:i_stop], lists.distances[i:i_stop])
        for j, j_stop in _tiles(len(block.ids), BLOCK_ROWS):
            block_rows = _rows(block, j, j_stop)
            visual = query_rows.visual @ block_rows.visual.T if search.w_visual else nothing
            audio = query_rows.audio @ block_rows.audio.T if search.w_audio else nothing
            kernel.fold(query_rows, block_rows, (visual, audio), search, rows)


def _tiles(rows: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, rows)) for start in range(0, rows, size))


def _runs(labels: Int64Array) -> Iterator[tuple[int, int]]:
    """Start and stop of every run of equal labels."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    if not len(labels):
        return iter(())
    return zip([0, *edges.tolist()], [*edges.tolist(), len(labels)], strict=True)


def _empty_lists(rows: int, k: int) -> Lists:
    return Lists(np.full((rows, k), -1, np.int64), np.full((rows, k), np.inf, np.float32))


def _side(block: Block) -> Side:
    return Side(
        _read_only(block.ids),
        _read_only(block.times_s),
        _read_only(block.visual),
        _read_only(block.audio),
        _read_only(_squares(block.visual)),
        _read_only(_squares(block.audio)),
    )


def _rows(side: Side, start: int, stop: int) -> Side:
    return Side._make(array[start:stop] for array in side)


def _squares(x: Float32Array) -> Float32Array:
    # xᵀy is off by at most d · 2^-24 · |x||y| in float32, and 2|x||y| ≤ |x|² + |y|²; 8 for the additions.
    error = (x.shape[1] + 8) * 2.0**-24
    return np.asarray(np.einsum("ij,ij->i", x, x, dtype=np.float64) * (1 - error), np.float32)


def _read_only(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    # Memory-mapped and Arrow arrays are read-only: with all of them so, one compilation serves all.
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
