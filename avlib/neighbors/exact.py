"""Exact k nearest neighbors by a weighted sum of two distances (Solèr et al. 2016, Eq. 1).

    d(i, j) = w_V · ‖v_i - v_j‖ + w_A · ‖a_i - a_j‖

All pairs are compared, tile by tile (see `tiles`). The lists do not depend on how the samples are cut into blocks, or
in which order the blocks come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from avlib.arrays import Float32Array, Int64Array
from avlib.errors import ParameterError
from avlib.neighbors import kernel
from avlib.neighbors.block import Block, NeighborLists, NeighborRule, check_k
from avlib.neighbors.kernel import Lists, Search, Side, empty_lists, read_only
from avlib.neighbors.tiles import Fold, fold_tiles, rows_of

_EXCLUDE = {"none": kernel.NONE, "same_video": kernel.SAME_VIDEO, "window": kernel.WINDOW}


class PairSearch:
    """The k nearest samples of every sample, from pairs of blocks folded one by one, both directions at once.

    Folding every pair of blocks once, each with itself too, makes the lists whole; any part of them makes partial
    lists, for `merged`. No two blocks may share a sample.
    weights: (w_V, w_A), not negative, one at least positive; a modality of weight 0 is not looked at.
    fold: where the pairs are compared, by `fold_on`.
    Raises ParameterError for k below 1 and such weights.
    """

    def __init__(self, *, weights: tuple[float, float], k: int, rule: NeighborRule, fold: Fold = fold_tiles) -> None:
        self._search, self._fold = search_for(weights, k, rule), fold
        self._found: dict[int, tuple[Int64Array, Lists]] = {}

    def fold(self, left: Side, right: Side) -> None:
        """Fold all pairs (left sample, right sample) into the lists of both; of a block with itself, all its pairs.

        Sides are made by `side`, once per block or anew. Raises ParameterError where their dimensions differ.
        """
        check_dimensions(left, right, self._search)
        self._fold(left, right, self._search, self._lists(left), self._lists(right))

    def limit(self, block: Side, distances: Float32Array) -> None:
        """Leave out what is farther than these distances from a block's samples, before any of its pairs is folded.

        distances: shape (n,), those of the k-th entries of lists that other pairs made; infinity where there is none.
        Merged with these lists, or better ones, the lists are as they would have been.
        """
        # A pair of that very distance may come before the one it is known of, by its id.
        self._lists(block).distances[:] = np.nextafter(distances, np.float32(np.inf))[:, None]

    def lists(self) -> NeighborLists:
        """The lists of all samples folded so far, in ascending order of their ids."""
        found = [(ids, lists.ids, lists.distances) for ids, lists in self._found.values()]
        k = self._search.k
        found.append((np.empty(0, np.int64), np.empty((0, k), np.int64), np.empty((0, k), np.float32)))
        ids, neighbor_ids, distances = map(np.concatenate, zip(*found, strict=True))
        order = np.argsort(ids)
        neighbor_ids, distances = neighbor_ids[order], distances[order]
        distances[neighbor_ids < 0] = np.inf  # a limit, until then
        return NeighborLists(ids[order], neighbor_ids, distances)

    def _lists(self, block: Side) -> Lists:
        # Found by their smallest id. The ids are copied, as they may be part of a whole file in memory.
        key = int(block.ids[0]) if len(block.ids) else -1
        ids, lists = self._found.setdefault(key, (block.ids.copy(), empty_lists(len(block.ids), self._search.k)))
        if not np.array_equal(ids, block.ids):
            raise ParameterError("ids", f"two blocks with sample {key}", "every sample in one block")
        return lists


def side(block: Block) -> Side:
    """A block made ready for `PairSearch.fold`: its samples in ascending order of their ids, and their squares."""
    # Of exact duplicates the smallest ids are listed: seen first, they keep the others out cheaply.
    return side_as_given(block if (np.diff(block.ids) > 0).all() else block.take(np.argsort(block.ids)))


def nearest(
    queries: Block, blocks: Iterable[Block], *, weights: tuple[float, float], k: int, rule: NeighborRule
) -> NeighborLists:
    """The k nearest samples of every query among all blocks.

    weights: (w_V, w_A), not negative, one at least positive; a modality of weight 0 is not looked at.
    Returns lists in the order of the queries, shorter than k (padded) where the blocks hold too few samples
    that the rule allows. `NeighborRule.check` is the test for a whole collection.
    Raises ParameterError for k below 1, such weights, and blocks whose dimensions differ from the queries'.
    """
    search = search_for(weights, k, rule)
    query_side = side_as_given(queries)
    lists = empty_lists(len(queries), k)
    for block in blocks:
        block_side = side(block)
        check_dimensions(query_side, block_side, search)
        fold_tiles(query_side, block_side, search, lists, None)
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
    ordered = side_as_given(samples.take(order))
    lists = empty_lists(len(samples), width)
    for start, stop in runs(components[order]):
        rows, within = rows_of(ordered, start, stop), rows_of(lists, start, stop)
        fold_tiles(rows, rows, search_for(weights, int(k[order[start]]), rule), within, within)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return NeighborLists(samples.ids, lists.ids[back], lists.distances[back])


def search_for(weights: tuple[float, float], k: int, rule: NeighborRule) -> Search:
    """A search as the kernel takes it. Raises ParameterError as `nearest`."""
    check_k(k)
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ParameterError("weights", weights, "w_V and w_A of 0 or more, not both 0")
    w_visual, w_audio = map(float, weights)
    return Search(k, w_visual, w_audio, _EXCLUDE[rule.exclude], float(rule.exclude_s), rule.per_video)


def check_dimensions(left: Side, right: Side, search: Search) -> None:
    """Raise ParameterError where a modality that counts has another dimension in one of the two."""
    pairs = (("visual", search.w_visual, left.visual, right.visual), ("audio", search.w_audio, left.audio, right.audio))
    for name, weight, one, other in pairs:
        expected, found = one.shape[1], other.shape[1]
        if weight and found != expected:
            raise ParameterError(name, f"{found}-d in a block", f"{expected}-d, as in the other")


def runs(labels: Int64Array) -> Iterator[tuple[int, int]]:
    """Start and stop of every run of equal labels."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    if not len(labels):
        return iter(())
    return zip([0, *edges.tolist()], [*edges.tolist(), len(labels)], strict=True)


def side_as_given(block: Block) -> Side:
    """A block made ready for the kernel, its samples in the order they are in."""
    return Side(
        read_only(block.ids),
        read_only(block.times_s),
        read_only(block.visual),
        read_only(block.audio),
        read_only(_squares(block.visual)),
        read_only(_squares(block.audio)),
    )


def _squares(x: Float32Array) -> Float32Array:
    error = kernel.product_error(x.shape[1])
    return np.asarray(np.einsum("ij,ij->i", x, x, dtype=np.float64) * (1 - error), np.float32)
