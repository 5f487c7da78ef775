"""Nearest neighbors among the samples of near cells.

Samples i and j are compared where i probes the cell of j, or j the cell of i: the queries that probe a cell, and its
members, are one tile, folded into the lists of both. So a neighbor is found if either finds the other, and a mutual
edge is lost only if both miss. Pairs that ask for each other are folded twice: to sort them out costs small tiles,
which take longer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avlib.arrays import Int32Array, Int64Array
from avlib.errors import ParameterError
from avlib.neighbors import exact, kernel, tiles
from avlib.neighbors.block import Block, NeighborLists, NeighborRule
from avlib.neighbors.kernel import Lists, Side


class CellSearch:
    """The comparisons of some cells: of their members with one another, and with queries from other cells.

    members: all samples of these cells, in any order.
    probes: shape (members, n), int32, the cells that each member probes, its own first, -1 where there are no more.
        For cells that are not here the member is a query elsewhere.
    weights, k, rule: as in `nearest`.
    Let every cell be in one of several searches, each compare its members, and each fold all samples of the others
    that probe one of its cells: then their lists, `merged`, are those of one search of all cells. Lists found before
    may be given to begin with. They keep out what cannot be among the nearest, which saved two fifths of the time.
    """

    def __init__(
        self, members: Block, probes: Int32Array, *, weights: tuple[float, float], k: int, rule: NeighborRule
    ) -> None:
        self._search = exact.search_for(weights, k, rule)
        self._members = _Probing(members, probes)
        self._lists = kernel.empty_lists(len(members), k)
        self._cells, starts = np.unique(self._members.own, return_index=True)
        self._edges = np.append(starts, len(members))

    def begin_with(self, lists: NeighborLists) -> None:
        """Take the members' lists from an earlier search of theirs, k wide, in the order of the members."""
        self._lists = self._members.ordered(lists)

    def compare_members(self) -> None:
        """Fold the pairs of members."""
        for start, stop in zip(self._edges[:-1], self._edges[1:], strict=True):
            side, lists = tiles.rows_of(self._members.side, start, stop), tiles.rows_of(self._lists, start, stop)
            tiles.fold_tiles(side, side, self._search, lists, lists)
        self._fold(self._members, self._lists)

    def fold(self, queries: Block, probes: Int32Array, begun: NeighborLists | None = None) -> NeighborLists:
        """Fold samples of other cells into the members' lists, and members into those that the samples have begun.

        probes: shape (queries, n), as those of the members.  begun: in the order of the queries, k wide.
        Returns lists in the order of the queries.
        Raises ParameterError where a query's own cell is here, and where dimensions differ.
        """
        probing = _Probing(queries, probes)
        if np.isin(probing.own, self._cells).any():
            raise ParameterError("queries", "a member of a cell of this search", "samples of other cells")
        exact.check_dimensions(self._members.side, probing.side, self._search)
        lists = probing.ordered(begun) if begun else kernel.empty_lists(len(queries), self._search.k)
        self._fold(probing, lists)
        return probing.as_given(lists)

    def lists(self) -> NeighborLists:
        """The members' lists so far, in the order in which the members were given."""
        return self._members.as_given(self._lists)

    def _fold(self, queries: _Probing, lists: Lists) -> None:
        for start, stop, rows in self._visits(queries):
            members = tiles.rows_of(self._members.side, start, stop)
            member_lists = tiles.rows_of(self._lists, start, stop)
            query_lists = Lists(lists.ids[rows], lists.distances[rows])
            tiles.fold_tiles(_gathered(queries.side, rows), members, self._search, query_lists, member_lists)
            lists.ids[rows], lists.distances[rows] = query_lists

    def _visits(self, queries: _Probing) -> Iterator[tuple[int, int, Int64Array]]:
        # Every cell here that samples of other cells probe: start and stop of its members, and the rows of these.
        visited = np.isin(queries.probes, self._cells) & (queries.probes != queries.own[:, None])
        rows, ranks = np.nonzero(visited)
        cells = np.searchsorted(self._cells, queries.probes[rows, ranks])
        order = np.argsort(cells, kind="stable")
        for start, stop in exact.runs(cells[order]):
            cell = cells[order[start]]
            yield int(self._edges[cell]), int(self._edges[cell + 1]), rows[order[start:stop]]


class _Probing:
    """Samples with the cells they probe, in ascending order of (own cell, id)."""

    def __init__(self, samples: Block, probes: Int32Array) -> None:
        if probes.ndim != 2 or len(probes) != len(samples) or not probes.shape[1]:
            raise ParameterError("probes", probes.shape, f"{len(samples)} rows of a sample's own cell and others")
        self._order = np.lexsort((samples.ids, probes[:, 0]))
        self._ids = samples.ids
        self.side = exact.side_as_given(samples.take(self._order))
        self.probes = probes[self._order]
        self.own = self.probes[:, 0]

    def ordered(self, lists: NeighborLists) -> Lists:
        """A copy of lists in the order in which the samples were given, in the order of this."""
        return Lists(lists.neighbor_ids[self._order], lists.distances[self._order])

    def as_given(self, lists: Lists) -> NeighborLists:
        """Lists of these samples, in the order in which the samples were given."""
        back = np.empty_like(self._order)
        back[self._order] = np.arange(len(self._order))
        return NeighborLists(self._ids, lists.ids[back], lists.distances[back])


def _gathered(side: Side, rows: Int64Array) -> Side:
    return Side._make(kernel.read_only(array[rows]) for array in side)
