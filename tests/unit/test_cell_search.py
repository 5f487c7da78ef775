"""The search in cells, against brute force over the pairs that it should compare, and the exact search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_blocks import RULES, assert_same, brute_force, make_block, nearest_in_cells

from avlib.errors import ParameterError
from avlib.neighbors import Block, NeighborRule, merged, nearest
from avlib.neighbors.cell_search import CellSearch
from avlib.neighbors.cells import train_cells


def compared(probes: np.ndarray) -> np.ndarray:
    """(n, n): whether either sample's cell is probed by the other."""
    asks = (probes[:, :, None] == probes[None, None, :, 0]).any(axis=1)
    return asks | asks.T


def restricted_brute_force(
    block: Block, pairs: np.ndarray, *, weights: tuple[float, float], k: int, rule: NeighborRule
) -> tuple[np.ndarray, np.ndarray]:
    ids, distances = np.full((len(block), k), -1), np.full((len(block), k), np.inf)
    for row in range(len(block)):
        query, others = block.take(np.array([row])), block.take(np.flatnonzero(pairs[row]))
        ids[row], distances[row] = (x[0] for x in brute_force(query, others, weights=weights, k=k, rule=rule))
    return ids, distances


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 90),
    count=st.integers(1, 12),
    probed=st.integers(1, 12),
    k=st.integers(1, 12),
    rule=st.sampled_from(RULES),
    weights=st.sampled_from([(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.3, 2.0)]),
    seed=st.integers(0, 2**16),
)
def test_lists_are_exact_among_compared_samples(
    rows: int, count: int, probed: int, k: int, rule: NeighborRule, weights: tuple[float, float], seed: int
) -> None:
    block = make_block(rows, seed=seed)
    cells = train_cells(block, weights=weights, cells=count, seed=seed)
    lists = nearest_in_cells(block, cells.probes(block, probed), weights=weights, k=k, rule=rule)
    pairs = compared(cells.probes(block, probed))
    ids, distances = restricted_brute_force(block, pairs, weights=weights, k=k, rule=rule)
    np.testing.assert_array_equal(lists.ids, block.ids)
    np.testing.assert_array_equal(lists.neighbor_ids, ids)
    np.testing.assert_allclose(lists.distances, distances, atol=1e-6)

    whole = nearest_in_cells(block, cells.probes(block, len(cells)), weights=weights, k=k, rule=rule)
    assert_same(whole, nearest(block, [block], weights=weights, k=k, rule=rule))

    order = np.random.default_rng(seed).permutation(rows)
    probes = cells.probes(block, probed)[order]
    shuffled = nearest_in_cells(block.take(order), probes, weights=weights, k=k, rule=rule)
    np.testing.assert_array_equal(shuffled.ids, block.ids[order])
    np.testing.assert_array_equal(shuffled.neighbor_ids, lists.neighbor_ids[order])
    np.testing.assert_array_equal(shuffled.distances, lists.distances[order])


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 120),
    count=st.integers(1, 15),
    probed=st.integers(1, 8),
    groups=st.integers(1, 5),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 2**16),
)
def test_groups_of_cells_with_foreign_queries_are_one_search(
    rows: int, count: int, probed: int, groups: int, rule: NeighborRule, seed: int
) -> None:
    k = 5
    random = np.random.default_rng(seed)
    block = make_block(rows, seed=seed)
    cells = train_cells(block, weights=(1, 1), cells=count, seed=seed)
    probes = cells.probes(block, probed)
    group = random.integers(0, groups, len(cells))
    whole = nearest_in_cells(block, probes, weights=(1, 1), k=k, rule=rule)

    def search_of(members: np.ndarray) -> CellSearch:
        return CellSearch(block.take(members), probes[members], weights=(1, 1), k=k, rule=rule)

    inside = [random.permutation(np.flatnonzero(group[probes[:, 0]] == own)) for own in range(groups)]
    begun = []
    for members in inside:
        search = search_of(members)
        search.compare_members()
        begun.append(search.lists())
    lists = merged(begun, k=k, rule=rule)  # by ids, as the block's rows are
    for warm in (False, True):
        partials = [] if warm else list(begun)
        for own, members in enumerate(inside):
            search = search_of(members)
            if warm:
                search.begin_with(lists.take(members))
            foreign = (group[probes] == own).any(axis=1) & (group[probes[:, 0]] != own)
            for part in np.array_split(random.permutation(np.flatnonzero(foreign)), 3):
                partials.append(search.fold(block.take(part), probes[part], lists.take(part) if warm else None))
                np.testing.assert_array_equal(partials[-1].ids, block.ids[part])
            partials.append(search.lists())
        assert_same(merged(partials, k=k, rule=rule), whole)


def test_lists_shorter_than_k_are_padded() -> None:
    block = make_block(60)
    cells = train_cells(block, weights=(1, 1), cells=20, seed=0)
    lists = nearest_in_cells(block, cells.probes(block, 1), weights=(1, 1), k=40, rule=NeighborRule())
    members = np.bincount(cells.probes(block, 1)[:, 0])
    found = (lists.neighbor_ids >= 0).sum(axis=1)
    np.testing.assert_array_equal(found, members[cells.probes(block, 1)[:, 0]] - 1)
    assert np.isinf(lists.distances[lists.neighbor_ids < 0]).all()


def test_many_duplicates() -> None:
    block = make_block(300)
    equal = Block(block.ids, block.visual[np.arange(300) % 3], block.audio[np.arange(300) % 3], block.times_s)
    cells = train_cells(equal, weights=(1, 1), cells=10, seed=0)
    lists = nearest_in_cells(equal, cells.probes(equal, 1), weights=(1, 1), k=20, rule=NeighborRule())
    assert_same(lists, nearest(equal, [equal], weights=(1, 1), k=20, rule=NeighborRule()))
    assert not lists.distances.any()


def test_cells_larger_than_a_tile() -> None:
    block = make_block(2300, dimensions=(12, 5))
    cells = train_cells(block, weights=(1, 1), cells=3, seed=0)
    lists = nearest_in_cells(block, cells.probes(block, 3), weights=(1, 1), k=8, rule=NeighborRule())
    assert_same(lists, nearest(block, [block], weights=(1, 1), k=8, rule=NeighborRule()))


def test_no_members() -> None:
    block = make_block(30)
    cells = train_cells(block, weights=(1, 1), cells=3, seed=0)
    nothing = np.empty(0, np.int64)
    search = CellSearch(
        block.take(nothing), cells.probes(block.take(nothing), 2), weights=(1, 1), k=4, rule=NeighborRule()
    )
    search.compare_members()
    assert search.lists().neighbor_ids.shape == (0, 4)
    lists = search.fold(block, cells.probes(block, 2))
    assert lists.neighbor_ids.shape == (30, 4) and (lists.neighbor_ids == -1).all()


def test_refuses_members_as_queries_and_malformed_probes() -> None:
    block = make_block(30)
    cells = train_cells(block, weights=(1, 1), cells=3, seed=0)
    probes = cells.probes(block, 2)
    search = CellSearch(block, probes, weights=(1, 1), k=4, rule=NeighborRule())
    with pytest.raises(ParameterError, match="a member of a cell of this search"):
        search.fold(block.take(np.arange(3)), probes[:3])
    with pytest.raises(ParameterError, match="probes"):
        CellSearch(block, probes[:7], weights=(1, 1), k=4, rule=NeighborRule())
    with pytest.raises(ParameterError, match="probes"):
        CellSearch(block, probes[:, :0], weights=(1, 1), k=4, rule=NeighborRule())
    with pytest.raises(ParameterError, match="visual = '5-d"):
        search.fold(make_block(3, dimensions=(5, 6)), np.full((3, 1), 99, np.int32))
