"""Exact neighbors against brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_blocks import RULES, WEIGHTS, assert_same, brute_force, make_block

from avlib.errors import ParameterError
from avlib.neighbors import Block, NeighborRule, joined, nearest, nearest_within, tiles


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_equals_brute_force(weights: tuple[float, float], rule: NeighborRule) -> None:
    block = make_block(160)
    lists = nearest(block, [block], weights=weights, k=7, rule=rule)
    ids, distances = brute_force(block, block, weights=weights, k=7, rule=rule)
    np.testing.assert_array_equal(lists.neighbor_ids, ids)
    np.testing.assert_allclose(lists.distances, distances, atol=1e-6)


def test_near_duplicates_keep_their_digits() -> None:
    random = np.random.default_rng(3)
    center = random.normal(size=576)
    x = center + 1e-6 * np.arange(40)[:, None] ** 1.5 * random.normal(size=576)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    block = Block(np.arange(40) << 24, x, np.zeros((40, 65), np.float32), np.zeros(40))
    lists = nearest(block, [block], weights=(1, 1), k=10, rule=NeighborRule())
    ids, distances = brute_force(block, block, weights=(1, 1), k=10, rule=NeighborRule())
    np.testing.assert_array_equal(lists.neighbor_ids, ids)
    np.testing.assert_allclose(lists.distances, distances, atol=6e-7)


def test_float32_products_do_not_keep_the_nearest_out() -> None:
    """Of a pair of long vectors the bound is low by more than of a short one: no limit before distances are known."""
    x = np.zeros((4, 576), np.float32)
    x[:, 0] = [1.0, 0.0, 2.00001, 9.0]
    query, *others = (Block(np.array([i]) << 24, x[[i]], np.zeros((1, 0), np.float32), np.zeros(1)) for i in range(4))
    lists = nearest(query, [joined(others)], weights=(1, 0), k=1, rule=NeighborRule())
    assert lists.neighbor_ids.tolist() == [[1 << 24]]
    assert lists.distances.tolist() == [[1.0]]


@settings(max_examples=40)
@given(
    rows=st.integers(2, 90),
    k=st.integers(1, 9),
    rule=st.sampled_from(RULES),
    weights=st.sampled_from(WEIGHTS),
    norms=st.floats(0.01, 4),  # beyond 16 distances are coarser than the grid that ties go by
    seed=st.integers(0, 2**16),
)
def test_vectors_of_any_length(
    rows: int, k: int, rule: NeighborRule, weights: tuple[float, float], norms: float, seed: int
) -> None:
    unit = make_block(rows, dimensions=(64, 32), seed=seed)
    lengths = np.random.default_rng(seed).uniform(0, norms, (2, rows, 1)).astype(np.float32)
    block = Block(unit.ids, unit.visual * lengths[0], unit.audio * lengths[1], unit.times_s)
    lists = nearest(block, [block], weights=weights, k=k, rule=rule)
    ids, distances = brute_force(block, block, weights=weights, k=k, rule=rule)
    np.testing.assert_array_equal(lists.neighbor_ids, ids)
    np.testing.assert_allclose(lists.distances, distances, rtol=1e-6, atol=1e-6)


def test_ties_go_by_id_and_self_is_excluded_by_id() -> None:
    ids = np.array([40, 7, 23, 11], np.int64)
    equal = Block(ids, np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32), np.zeros(4))
    lists = nearest(equal, [equal], weights=(1, 1), k=3, rule=NeighborRule())
    assert lists.neighbor_ids.tolist() == [[7, 11, 23], [11, 23, 40], [7, 11, 40], [7, 23, 40]]
    assert not lists.distances.any()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 70),
    videos=st.integers(1, 9),
    k=st.integers(1, 12),
    rule=st.sampled_from(RULES),
    weights=st.sampled_from(WEIGHTS),
    cuts=st.lists(st.integers(0, 70), max_size=6),
    seed=st.integers(0, 2**16),
)
def test_blocks_and_order_do_not_matter(
    rows: int,
    videos: int,
    k: int,
    rule: NeighborRule,
    weights: tuple[float, float],
    cuts: list[int],
    seed: int,
) -> None:
    block = make_block(rows, videos=videos, seed=seed)
    random = np.random.default_rng(seed)
    whole = nearest(block, [block], weights=weights, k=k, rule=rule)
    shuffled = block.take(random.permutation(rows))
    edges = sorted(min(cut, rows) for cut in cuts)
    pieces = [shuffled.take(piece) for piece in np.split(np.arange(rows), edges)]
    pieces = [pieces[i] for i in random.permutation(len(pieces))]
    assert_same(nearest(block, pieces, weights=weights, k=k, rule=rule), whole)
    assert_same(nearest(block, [*pieces, block], weights=weights, k=k, rule=rule), whole)  # folded twice
    ids, distances = brute_force(block, block, weights=weights, k=k, rule=rule)
    np.testing.assert_array_equal(whole.neighbor_ids, ids)
    np.testing.assert_allclose(whole.distances, distances, atol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_tiles_do_not_matter(rule: NeighborRule, monkeypatch: pytest.MonkeyPatch) -> None:
    block = make_block(1400, dimensions=(96, 30))
    whole = nearest(block, [block], weights=(1, 1), k=20, rule=rule)
    monkeypatch.setattr(tiles, "LEFT_ROWS", 37)
    monkeypatch.setattr(tiles, "RIGHT_ROWS", 101)
    assert_same(nearest(block, [block], weights=(1, 1), k=20, rule=rule), whole)


def test_distances_are_symmetric_to_the_last_bit() -> None:
    block = make_block(60)
    lists = nearest(block, [block], weights=(0.7, 0.3), k=59, rule=NeighborRule())
    table = {
        (i, j): d for i, row, ds in zip(lists.ids, lists.neighbor_ids, lists.distances, strict=True)
        for j, d in zip(row, ds, strict=True)
    }  # fmt: skip
    assert len(table) == 60 * 59
    assert all(table[j, i] == d for (i, j), d in table.items())


def test_read_only_and_strided_arrays_are_welcome() -> None:
    block = make_block(50)
    visual = np.asfortranarray(block.visual)
    visual.flags.writeable = False
    strided = Block(block.ids, visual, block.audio, block.times_s)
    expected = nearest(block, [block], weights=(1, 1), k=4, rule=NeighborRule())
    assert_same(nearest(strided, [strided], weights=(1, 1), k=4, rule=NeighborRule()), expected)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 80),
    groups=st.integers(1, 30),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 2**16),
)
def test_within_equals_a_search_in_every_component(rows: int, groups: int, rule: NeighborRule, seed: int) -> None:
    random = np.random.default_rng(seed)
    block = make_block(rows, seed=seed).take(random.permutation(rows))
    components = random.integers(0, groups, rows)
    k = random.integers(1, 9, groups)[components]
    lists = nearest_within(block, components, weights=(1, 0.5), k=k, rule=rule)
    np.testing.assert_array_equal(lists.ids, block.ids)
    for component in np.unique(components):
        members = np.flatnonzero(components == component)
        inside, width = block.take(members), int(k[members[0]])
        alone = nearest(inside, [inside], weights=(1, 0.5), k=width, rule=rule)
        np.testing.assert_array_equal(lists.neighbor_ids[members, :width], alone.neighbor_ids)
        np.testing.assert_array_equal(lists.distances[members, :width], alone.distances)
        assert (lists.neighbor_ids[members, width:] == -1).all()


@pytest.mark.parametrize("field", ["visual", "audio", "times_s"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_what_is_not_finite(field: str, value: float) -> None:
    arrays = {name: getattr(make_block(5), name).copy() for name in ("ids", "visual", "audio", "times_s")}
    arrays[field][3] = value
    with pytest.raises(ParameterError, match=f"{field} = 'NaN or infinity in row 3'"):
        Block(**arrays)


def test_refuses_malformed_blocks() -> None:
    block = make_block(5)
    with pytest.raises(ParameterError, match="visual = 'float64"):
        Block(block.ids, block.visual.astype(np.float64), block.audio, block.times_s)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="audio"):
        Block(block.ids, block.visual, block.audio[:4], block.times_s)
    with pytest.raises(ParameterError, match="ids = 'repeated'"):
        Block(np.zeros(5, np.int64), block.visual, block.audio, block.times_s)
    with pytest.raises(ParameterError, match="ids = -1"):
        Block(block.ids - block.ids[0] - 1, block.visual, block.audio, block.times_s)


def test_refuses_searches_without_sense() -> None:
    block = make_block(5)
    for weights in [(0.0, 0.0), (-1.0, 1.0), (np.nan, 1.0), (np.inf, 1.0)]:
        with pytest.raises(ParameterError, match="weights"):
            nearest(block, [block], weights=weights, k=1, rule=NeighborRule())
    with pytest.raises(ParameterError, match="k = 0"):
        nearest(block, [block], weights=(1, 1), k=0, rule=NeighborRule())
    with pytest.raises(ParameterError, match="audio = '4-d in a block': expected 6-d, as in the other"):
        nearest(block, [make_block(5, dimensions=(17, 4))], weights=(1, 1), k=1, rule=NeighborRule())
    # Of weight 0, so not looked at:
    nearest(block, [make_block(5, dimensions=(17, 4))], weights=(1, 0), k=1, rule=NeighborRule())
    ones = np.ones(5, np.int64)
    with pytest.raises(ParameterError, match="components"):
        nearest_within(block, ones[:4], weights=(1, 1), k=ones, rule=NeighborRule())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"exclude": "other"}, "exclude = 'other'"),
        ({"exclude": "window", "exclude_s": -1.0}, "exclude_s = -1.0"),
        ({"per_video": -1}, "per_video = -1"),
    ],
)
def test_refuses_unknown_rules(values: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        NeighborRule(**values)  # type: ignore[arg-type]


def test_check_of_a_whole_collection() -> None:
    NeighborRule().check(k=9, samples=10, videos=1)
    NeighborRule("window", 2.0).check(k=3, samples=10, videos=1)
    NeighborRule().check(k=3, samples=0, videos=0)
    with pytest.raises(ParameterError, match="k below the number of samples, 10"):
        NeighborRule().check(k=10, samples=10, videos=3)
    with pytest.raises(ParameterError, match="k = 0"):
        NeighborRule().check(k=0, samples=0, videos=0)
    with pytest.raises(ParameterError, match="exclude = 'same_video': expected more than one video"):
        NeighborRule("same_video").check(k=3, samples=10, videos=1)
    with pytest.raises(ParameterError, match="per_video = 2"):
        NeighborRule(per_video=2).check(k=3, samples=10, videos=1)
