"""The recall that is predicted is the one that a search has, and its standard error the spread over samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_blocks import RULES, make_block, nearest_in_cells

from avlib.errors import ParameterError
from avlib.neighbors import Block, NeighborLists, NeighborRule, nearest
from avlib.neighbors.cells import train_cells
from avlib.neighbors.recall import Probes, choose_reach, mutual, named_pairs, needed_reach


def take(block: Block, ids: np.ndarray) -> Block:
    return block.take(np.flatnonzero(np.isin(block.ids, ids)))


def of(lists: NeighborLists, ids: np.ndarray) -> NeighborLists:
    rows = np.flatnonzero(np.isin(lists.ids, ids))
    return NeighborLists(lists.ids[rows], lists.neighbor_ids[rows], lists.distances[rows])


def mutual_edge_recall(approximate: NeighborLists, exact: NeighborLists, *, sample_ids: np.ndarray) -> float:
    """The share of the exact mutual edges at some samples that are mutual in the approximate lists too.

    Both must hold the lists of these samples and of those that they name. 1 without any edge.
    """
    true, found = (
        {(int(i), int(j)) for i, j in zip(*mutual(named_pairs(of(lists, sample_ids)), lists), strict=True)}
        for lists in (exact, approximate)
    )
    return len(true & found) / len(true) if true else 1.0


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(20, 150),
    sampled=st.integers(1, 20),
    count=st.integers(1, 25),
    most=st.integers(1, 12),
    k=st.integers(1, 9),
    target=st.floats(0, 1),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 2**16),
)
def test_predicted_recall_is_measured_recall(
    rows: int, sampled: int, count: int, most: int, k: int, target: float, rule: NeighborRule, seed: int
) -> None:
    random = np.random.default_rng(seed)
    block = make_block(rows, seed=seed)
    ids = random.choice(block.ids, sampled, replace=False)
    pairs = named_pairs(nearest(take(block, ids), [block], weights=(1, 0.6), k=k, rule=rule))
    exact = nearest(take(block, np.union1d(ids, pairs[1])), [block], weights=(1, 0.6), k=k, rule=rule)

    cells = train_cells(block, weights=(1, 0.6), cells=count, seed=seed)
    sample, other = mutual(pairs, exact)
    near = cells.probes(block, most)
    probes = Probes(near, cells.reaches(block, near))
    at_sample, at_other = (probes.take(np.searchsorted(block.ids, end)) for end in (sample, other))
    needed = needed_reach(at_sample, at_other)
    choice = choose_reach(needed, sample, target=target)

    def measured(reach: float) -> float:
        probed = cells.probes_within(block, reach, most)
        approximate = nearest_in_cells(block, probed, weights=(1, 0.6), k=k, rule=rule)
        of_approximate = np.union1d(ids, named_pairs(of(approximate, ids))[1])
        return mutual_edge_recall(of(approximate, of_approximate), exact, sample_ids=ids)

    tried = np.unique([1.0, *needed[np.isfinite(needed)].tolist()])
    recalls = [measured(reach) for reach in tried]
    for reach, recall in zip(tried, recalls, strict=True):
        assert recall == (np.count_nonzero(needed <= reach) / len(needed) if len(needed) else 1.0)
    reached = [reach for reach, recall in zip(tried, recalls, strict=True) if recall >= target - 1e-9]
    if len(needed) and target > 0:
        assert choice.reach == (reached[0] if reached else tried[-1])
    assert choice.recall == measured(choice.reach)
    # Two samples that are the centres of their cells are at no multiple of their own distance, which is 0.
    if most >= len(cells) and np.isfinite(needed).all():
        assert recalls[-1] == 1


def test_mutual_edges_equal_those_of_all_lists() -> None:
    block = make_block(120)
    lists = nearest(block, [block], weights=(1, 1), k=6, rule=NeighborRule())
    table = dict(zip(lists.ids.tolist(), lists.neighbor_ids.tolist(), strict=True))
    sampled = np.random.default_rng(0).permutation(block.ids)[:25]
    expected = sorted((i, j) for i in sampled.tolist() for j in table[i] if i in table[j])
    shuffled = np.random.default_rng(1).permutation(120)
    lists = NeighborLists(lists.ids[shuffled], lists.neighbor_ids[shuffled], lists.distances[shuffled])
    sample, other = mutual(named_pairs(of(lists, sampled)), lists)
    assert list(zip(sample.tolist(), other.tolist(), strict=True)) == expected
    assert 0 < len(expected) < 25 * 6


def test_some_pairs_are_drawn_from_every_list() -> None:
    block = make_block(300)
    lists = nearest(block, [block], weights=(1, 1), k=8, rule=NeighborRule("same_video", per_video=2))
    short = NeighborLists(
        lists.ids, np.where(np.arange(8) < lists.ids[:, None] % 9, lists.neighbor_ids, -1), lists.distances
    )
    every = set(zip(*(end.tolist() for end in named_pairs(short)), strict=True))
    assert every == {
        (i, j) for i, row in zip(short.ids.tolist(), short.neighbor_ids.tolist(), strict=True) for j in row if j >= 0
    }
    times = np.zeros(8)
    for seed in range(40):
        sample, other = named_pairs(short, most=3, seed=seed)
        drawn = set(zip(sample.tolist(), other.tolist(), strict=True))
        assert drawn <= every and len(drawn) == len(sample)
        counts = dict(zip(*np.unique(sample, return_counts=True), strict=True))
        for i, row in zip(short.ids.tolist(), short.neighbor_ids, strict=True):
            assert counts.get(i, 0) == min(3, (row >= 0).sum())
        full = (short.neighbor_ids >= 0).all(axis=1)
        for place in range(8):
            at_place = zip(short.ids[full].tolist(), short.neighbor_ids[full, place].tolist(), strict=True)
            times[place] += len(drawn & set(at_place))
    assert times.sum() == 40 * 3 * full.sum()
    assert np.allclose(times / times.sum(), 1 / 8, rtol=0.15)  # no place in the list is drawn more often


def test_needed_reach() -> None:
    sample = Probes(np.full((4, 3), [4, 2, 7], np.int32), np.full((4, 3), [1.0, 1.5, 2.5]))
    cells = np.array([[4, 1, 0], [7, 4, 1], [7, 1, 0], [9, 1, 0]], np.int32)
    other = Probes(cells, np.full((4, 3), [1.0, 1.2, 3.0]))
    assert needed_reach(sample, other).tolist() == [1.0, 1.2, 2.5, np.inf]
    assert needed_reach(other, sample).tolist() == [1.0, 1.2, 2.5, np.inf]


def test_standard_error_is_the_spread_over_samples() -> None:
    # 400 draws of 200 samples from many: the estimates' spread is what each of them says.
    random = np.random.default_rng(0)
    edges = random.integers(1, 20, 5000)
    likely = random.beta(8, 1, 5000)  # edges of one sample are found or lost together
    estimates, errors = [], []
    for _ in range(400):
        drawn = random.integers(0, 5000, 200)
        sample = np.repeat(np.arange(200), edges[drawn])
        needed = 1 + (random.random(len(sample)) > likely[drawn][sample])
        choice = choose_reach(np.where(needed == 1, 1.0, np.inf), sample, target=0.5)
        estimates.append(choice.recall)
        errors.append(choice.standard_error)
    assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.12)


def test_without_edges_and_with_one_sample() -> None:
    nothing = np.empty(0, np.int64)
    choice = choose_reach(np.empty(0), nothing, target=0.97)
    assert (choice.reach, choice.recall) == (1, 1.0) and math.isnan(choice.standard_error)
    choice = choose_reach(np.array([1.5, 3]), np.array([7, 7]), target=0.5)
    assert (choice.reach, choice.recall) == (1.5, 0.5) and math.isnan(choice.standard_error)


def test_a_target_out_of_reach_takes_all_that_can_be_found() -> None:
    choice = choose_reach(np.array([1, np.inf, np.inf, 2]), np.array([1, 1, 2, 2]), target=0.97)
    assert (choice.reach, choice.recall) == (2, 0.5)
    choice = choose_reach(np.array([np.inf]), np.array([1]), target=0.97)
    assert (choice.reach, choice.recall) == (1, 0)


def test_refuses_missing_lists_and_targets() -> None:
    block = make_block(50)
    lists = nearest(block, [block], weights=(1, 1), k=6, rule=NeighborRule())
    some = of(lists, block.ids[:20])
    with pytest.raises(ParameterError, match="no list of"):
        mutual(named_pairs(some), some)
    with pytest.raises(ParameterError, match=f"no list of {block.ids[30]}"):
        mutual((block.ids[:1], block.ids[30:31]), some)
    with pytest.raises(ParameterError, match=r"target = 1\.5"):
        choose_reach(np.array([1.0]), np.array([1]), target=1.5)
