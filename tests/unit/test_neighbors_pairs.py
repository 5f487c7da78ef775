"""Both directions of block pairs at once, against brute force in float64 and `nearest`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_blocks import RULES, WEIGHTS, assert_same, brute_force, make_block

from avlib.arrays import Int64Array
from avlib.errors import ParameterError
from avlib.neighbors import Block, NeighborLists, NeighborRule, PairSearch, exact, kernel, merged, nearest, side, tiles


def cut(block: Block, edges: list[int], order: Int64Array) -> list[Block]:
    """The samples in this order, cut at these places."""
    return [block.take(piece) for piece in np.split(order, sorted(min(edge, len(block)) for edge in edges))]


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(0, 70),
    videos=st.integers(1, 9),
    k=st.integers(1, 12),
    rule=st.sampled_from(RULES),
    weights=st.sampled_from(WEIGHTS),
    edges=st.lists(st.integers(0, 70), max_size=5),
    tile=st.sampled_from([(512, 1024), (7, 3), (2, 11)]),
    seed=st.integers(0, 2**16),
)
def test_all_pairs_of_blocks_equal_brute_force(
    rows: int,
    videos: int,
    k: int,
    rule: NeighborRule,
    weights: tuple[float, float],
    edges: list[int],
    tile: tuple[int, int],
    seed: int,
) -> None:
    block = make_block(rows, videos=videos, seed=seed)
    random = np.random.default_rng(seed)
    pieces = cut(block, edges, random.permutation(rows))
    pairs = [pair if random.random() < 0.5 else pair[::-1] for pair in itertools.combinations(pieces, 2)]
    pairs += [(piece, piece) for piece in pieces]
    search = PairSearch(weights=weights, k=k, rule=rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "LEFT_ROWS", tile[0])
        patch.setattr(tiles, "RIGHT_ROWS", tile[1])
        for pair in random.permutation(len(pairs)):
            left, right = pairs[pair]
            search.fold(side(left), side(right))
        assert_same(search.lists(), nearest(block, [block], weights=weights, k=k, rule=rule))
        if pairs:
            search.fold(*map(side, pairs[0]))  # twice
    lists = search.lists()
    ids, distances = brute_force(block, block, weights=weights, k=k, rule=rule)
    np.testing.assert_array_equal(lists.ids, block.ids)
    np.testing.assert_array_equal(lists.neighbor_ids, ids)
    np.testing.assert_allclose(lists.distances, distances, atol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(("first", "stop"), [(0, 60), (0, 90), (0, 40), (40, 90), (20, 50)])
@pytest.mark.parametrize("one_memory", [True, False])
def test_sides_may_share_samples(rule: NeighborRule, first: int, stop: int, one_memory: bool) -> None:
    """The kernel alone: the first 60 samples against some of them and some others."""
    block = make_block(90)
    spans = [slice(0, 60), slice(first, stop)]
    left, right = (kernel.Side._make(array[span] for array in side(block)) for span in spans)
    everywhere = kernel.Lists(np.full((90, 7), -1), np.full((90, 7), np.inf, np.float32))
    lists = [kernel.Lists._make(array[span] for array in everywhere) for span in spans]
    if not one_memory:
        lists = [kernel.Lists(part.ids.copy(), part.distances.copy()) for part in lists]
    search = kernel.Search(7, 1.0, 0.5, exact._EXCLUDE[rule.exclude], rule.exclude_s, rule.per_video)
    kernel.fold_both(left, right, (left.visual @ right.visual.T, left.audio @ right.audio.T), search, *lists)
    for part, side_rows, other_rows in [(lists[0], *spans), (lists[1], *spans[::-1])]:
        for place, row in enumerate(range(90)[side_rows]):
            seen = set(range(90)[other_rows])
            if one_memory and row in range(90)[other_rows]:
                seen |= set(range(90)[side_rows])
            query, others = block.take(np.array([row])), block.take(np.array(sorted(seen)))
            ids, distances = brute_force(query, others, weights=(1.0, 0.5), k=7, rule=rule)
            np.testing.assert_array_equal(part.ids[place], ids[0])
            np.testing.assert_allclose(part.distances[place], distances[0], atol=1e-6)


def test_refuses_blocks_that_share_samples_and_other_dimensions() -> None:
    block = make_block(9)
    search = PairSearch(weights=(1, 0), k=2, rule=NeighborRule())
    search.fold(side(block), side(block))
    with pytest.raises(ParameterError, match="ids = 'two blocks with sample 0': expected every sample in one block"):
        search.fold(side(block), side(block.take(np.arange(5))))
    with pytest.raises(ParameterError, match="visual = '16-d in a block'"):
        search.fold(side(block), side(make_block(3, dimensions=(16, 6))))


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 70),
    videos=st.integers(1, 9),
    k=st.integers(1, 12),
    rule=st.sampled_from(RULES),
    edges=st.lists(st.integers(0, 70), max_size=6),
    tasks=st.integers(1, 4),
    told=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
def test_partial_lists_merge_to_the_whole(
    rows: int, videos: int, k: int, rule: NeighborRule, edges: list[int], tasks: int, told: float, seed: int
) -> None:
    """Pairs of blocks dealt out to tasks, some to two: samples in some partial lists only, neighbors in several.

    told: how often a task hears of a block what the tasks before have found.
    """
    block = make_block(rows, videos=videos, seed=seed)
    random = np.random.default_rng(seed)
    pieces = [side(piece) for piece in cut(block, edges, random.permutation(rows))]
    hands: list[list[tuple[kernel.Side, kernel.Side]]] = [[] for _ in range(tasks)]
    for pair in itertools.combinations_with_replacement(pieces, 2):
        for task in random.integers(0, tasks, 2):
            hands[task].append(pair)
    partials, found = list[NeighborLists](), dict[int, np.float32]()
    for hand in hands:
        search = PairSearch(weights=(1, 0.5), k=k, rule=rule)
        for piece in pieces:
            if random.random() < told:
                limits = [found.get(sample, np.float32(np.inf)) for sample in piece.ids.tolist()]
                search.limit(piece, np.array(limits, np.float32))
        for left, right in hand:
            search.fold(left, right)
        partials.append(search.lists())
        for sample, distance in zip(partials[-1].ids.tolist(), partials[-1].distances[:, -1], strict=True):
            found[sample] = min(distance, found.get(sample, distance))
    shuffled = [random.permutation(len(part)) for part in partials]
    partials = [
        NeighborLists(part.ids[order], part.neighbor_ids[order], part.distances[order])
        for part, order in zip(partials, shuffled, strict=True)
    ]
    whole = nearest(block, [block], weights=(1, 0.5), k=k, rule=rule)
    assert_same(merged(partials, k=k, rule=rule), whole)
    assert_same(merged([*partials, whole][::-1], k=k, rule=rule), whole)
    assert_same(merged([merged(partials[:1], k=k, rule=rule), *partials], k=k, rule=rule), whole)


def test_a_limit_leaves_in_what_is_as_far_and_has_a_smaller_id() -> None:
    block = make_block(7, dimensions=(16, 6))
    rows = np.array([0, 0, 0, 6, 0, 0, 0])  # all the same but the fourth
    alike = Block(block.ids, block.visual[rows], block.audio[rows], block.times_s)
    query, before, after = (side(alike.take(np.array(rows))) for rows in ([3], [0, 1, 2], [4, 5, 6]))

    def lists(other: kernel.Side, limit: float) -> NeighborLists:
        search = PairSearch(weights=(1, 0.5), k=3, rule=NeighborRule())
        search.limit(query, np.array([limit], np.float32))
        search.fold(query, other)
        found = search.lists()
        return found.take(np.flatnonzero(found.ids == query.ids[0]))

    first = lists(after, np.inf)
    limit = first.distances[0, -1]
    assert limit > 0 and (first.distances == limit).all()
    assert merged([first, lists(before, limit)], k=3, rule=NeighborRule()).neighbor_ids.tolist() == [
        before.ids.tolist()
    ]
    nothing = lists(before, limit / 2)
    assert nothing.neighbor_ids.tolist() == [[-1] * 3] and nothing.distances.tolist() == [[np.inf] * 3]


def test_merged_lists_are_as_long_as_asked_for() -> None:
    block = make_block(30)
    whole = nearest(block, [block], weights=(1, 1), k=9, rule=NeighborRule())
    shorter = merged([whole], k=4, rule=NeighborRule())
    assert_same(shorter, nearest(block, [block], weights=(1, 1), k=4, rule=NeighborRule()))
    longer = merged([whole], k=12, rule=NeighborRule())
    assert (longer.neighbor_ids[:, 9:] == -1).all()
    assert np.isinf(longer.distances[:, 9:]).all()
    np.testing.assert_array_equal(longer.neighbor_ids[:, :9], whole.neighbor_ids)
    with pytest.raises(ParameterError, match="partials = 'none'"):
        merged([], k=3, rule=NeighborRule())
    with pytest.raises(ParameterError, match="k = 0"):
        merged([whole], k=0, rule=NeighborRule())
