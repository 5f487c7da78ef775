"""Cells: k-means, the nearest cells of samples against float64, and splitting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_blocks import make_block

from avlib.errors import ParameterError
from avlib.neighbors import Block, cells
from avlib.neighbors.cells import Cells, concatenated, deal_cells, split_large, train_cells
from avlib.neighbors.ranking import rank_cells


def float64_ranks(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    differences = vectors[:, None].astype(np.float64) - centroids[None]
    return np.argsort((differences**2).sum(axis=2), axis=1, kind="stable")


def clusters(sizes: list[int], *, dimension: int = 12, seed: int = 0) -> tuple[Block, np.ndarray]:
    """Samples in tight, far apart clusters, and the cluster of each."""
    random = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    centers = 10 * random.normal(size=(len(sizes), dimension))
    visual = (centers[cluster] + 0.1 * random.normal(size=(len(cluster), dimension))).astype(np.float32)
    rows = len(cluster)
    return Block(np.arange(rows), visual, np.zeros((rows, 2), np.float32), np.zeros(rows)), cluster


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 30),
    count=st.integers(1, 40),
    n=st.integers(1, 40),
    dimension=st.integers(1, 70),
    seed=st.integers(0, 2**16),
)
def test_ranks_equal_float64(rows: int, count: int, n: int, dimension: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    centroids = random.normal(size=(count, dimension)).astype(np.float32)
    centroids[random.integers(0, count, count // 3)] = centroids[0]  # ties go by number
    near = random.integers(0, count, count // 3)
    centroids[near] = centroids[count // 2] + np.float32(1e-6) * random.normal(size=dimension).astype(np.float32)
    vectors = (centroids[random.integers(0, count, rows)] * np.float32(1.01)).astype(np.float32)
    n = min(n, count)
    np.testing.assert_array_equal(rank_cells(vectors, centroids, n), float64_ranks(vectors, centroids)[:, :n])


def test_order_of_nearly_equal_cells_is_not_left_to_float32() -> None:
    random = np.random.default_rng(0)
    center = random.normal(size=300).astype(np.float32)
    centroids = center + np.float32(1e-5) * random.normal(size=(60, 300)).astype(np.float32)
    vectors = center + np.float32(1e-3) * random.normal(size=(200, 300)).astype(np.float32)
    expected = float64_ranks(vectors, centroids)
    by_float32 = np.argsort((centroids**2).sum(axis=1) - 2 * vectors @ centroids.T, axis=1)
    assert (by_float32 != expected).any(axis=1).mean() > 0.5
    np.testing.assert_array_equal(rank_cells(vectors, centroids, 60), expected)


@pytest.mark.parametrize("flat_cells", [2048, 6])
def test_probes_do_not_hang_on_the_rest_of_the_block(flat_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "FLAT_CELLS", flat_cells)
    monkeypatch.setattr(cells, "FLAT_TRAINING", flat_cells)
    block = make_block(700, dimensions=(40, 9))
    trained = train_cells(block, weights=(1.0, 0.5), cells=30, seed=1)
    assert len(trained.hubs) == (1 if flat_cells == 2048 else 5)
    whole = trained.probes(block, 6)
    assert whole.dtype == np.int32 and whole.shape == (700, 6)
    order = np.random.default_rng(0).permutation(700)
    pieces = [trained.probes(block.take(rows), 6) for rows in np.split(order, [1, 2, 40, 333])]
    np.testing.assert_array_equal(np.vstack(pieces), whole[order])
    np.testing.assert_array_equal(trained.probes(block, 2), whole[:, :2])
    assert all(len(set(row)) == 6 for row in whole.tolist())


def test_cells_are_the_nearest_by_the_weighted_vectors() -> None:
    block = make_block(300)
    trained = train_cells(block, weights=(0.5, 2.0), cells=12, seed=0)
    vectors = np.hstack([0.5 * block.visual, 2 * block.audio])
    np.testing.assert_array_equal(trained.probes(block, 5), float64_ranks(vectors, trained.centroids)[:, :5])


@pytest.mark.parametrize(("weights", "dimension"), [((1.0, 0.0), 17), ((0.0, 1.0), 6), ((1.0, 1.0), 23)])
def test_a_modality_of_weight_0_is_left_out(weights: tuple[float, float], dimension: int) -> None:
    block = make_block(100)
    trained = train_cells(block, weights=weights, cells=4, seed=0)
    assert trained.centroids.shape == (4, dimension)
    other = Block(block.ids, block.visual * np.float32(bool(weights[0])), block.audio, block.times_s)
    if not weights[1]:
        other = Block(block.ids, block.visual, block.audio[:, :0], block.times_s)
    np.testing.assert_array_equal(trained.probes(other, 4), trained.probes(block, 4))


@pytest.mark.parametrize("flat_cells", [2048, 6])
def test_training_finds_clusters_in_any_order(flat_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "FLAT_CELLS", flat_cells)
    monkeypatch.setattr(cells, "FLAT_TRAINING", flat_cells)
    block, _ = clusters([40] * 20)
    first = train_cells(block, weights=(1, 1), cells=40, seed=3)
    second = train_cells(block.take(np.random.default_rng(1).permutation(800)), weights=(1, 1), cells=40, seed=3)
    np.testing.assert_array_equal(first.centroids, second.centroids)
    np.testing.assert_array_equal(first.near_hubs, second.near_hubs)
    assert not np.array_equal(first.centroids, train_cells(block, weights=(1, 1), cells=40, seed=4).centroids)
    assert 20 <= len(first) <= 60
    if flat_cells > 40:
        members = np.bincount(first.probes(block, 1)[:, 0], minlength=len(first))
        assert members.min() >= 1 and members.max() <= cells.LARGE * 20


def test_hubs_lose_few_of_the_nearest_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    block, _ = clusters([30] * 40, dimension=5)
    monkeypatch.setattr(cells, "FLAT_CELLS", 30)
    monkeypatch.setattr(cells, "FLAT_TRAINING", 30)
    trained = train_cells(block, weights=(1, 1), cells=80, seed=0)
    assert trained.near_hubs.shape == (len(trained.hubs), 30)
    vectors = np.hstack([block.visual, block.audio])
    assert (trained.probes(block, 1) == float64_ranks(vectors, trained.centroids)[:, :1]).mean() > 0.95


def test_trained_hub_by_hub_and_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    block, _ = clusters([30] * 40, dimension=5)
    monkeypatch.setattr(cells, "FLAT_TRAINING", 30)
    trained = train_cells(block, weights=(1, 1), cells=80, seed=0)
    assert 60 <= len(trained) <= 100 and trained.near_hubs.shape == (1, len(trained))
    vectors = np.hstack([block.visual, block.audio])
    np.testing.assert_array_equal(trained.probes(block, 7), float64_ranks(vectors, trained.centroids)[:, :7])


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_fewer_samples_than_cells(rows: int) -> None:
    block = make_block(rows)
    trained = train_cells(block, weights=(1, 1), cells=50, seed=0)
    assert len(trained) == rows
    assert sorted(trained.probes(block, 50)[:, 0].tolist()) == list(range(rows))


def test_equal_samples_share_cells_and_no_cell_is_empty() -> None:
    block = make_block(200)
    few = Block(block.ids, block.visual[np.arange(200) % 7], block.audio[np.arange(200) % 7], block.times_s)
    trained = train_cells(few, weights=(1, 1), cells=30, seed=0)
    own = trained.probes(few, 1)[:, 0]
    assert len(set(own.tolist())) == len(trained) <= 7
    assert all(len(set(own[kind::7].tolist())) == 1 for kind in range(7))


def test_large_cells_are_split_and_others_keep_their_numbers() -> None:
    block, cluster = clusters([300, 10, 10, 10])
    x = np.hstack([block.visual, block.audio])
    centroids = np.array([x[cluster == c].mean(axis=0) for c in range(4)], np.float32)
    before = Cells((1.0, 1.0), centroids, np.zeros((1, 14), np.float32), np.arange(4, dtype=np.int32)[None])
    members = np.bincount(before.probes(block, 1)[:, 0])
    assert members.tolist() == [300, 10, 10, 10]
    after = split_large(before, block, members=members, max_members=60, seed=0)
    np.testing.assert_array_equal(after.centroids[1:4], centroids[1:])
    own = after.probes(block, 1)[:, 0]
    assert 9 <= len(after) <= 13
    assert np.bincount(own).max() <= 90
    np.testing.assert_array_equal(own[cluster > 0], cluster[cluster > 0])
    assert split_large(before, block, members=members, max_members=300, seed=0) is before
    # A sample of the members will do: the counts say into how many.
    part = split_large(before, block.take(np.arange(0, 330, 3)), members=members, max_members=60, seed=0)
    assert 9 <= len(part) <= 13


def test_equal_members_cannot_be_split() -> None:
    block, _ = clusters([5, 5])
    equal = Block(block.ids, np.ones_like(block.visual), block.audio, block.times_s)
    trained = train_cells(equal, weights=(1, 1), cells=1, seed=0)
    assert len(split_large(trained, equal, members=np.array([10]), max_members=2, seed=0)) == 1


@pytest.mark.parametrize("groups", [1, 3, 4, 7])
def test_groups_are_of_near_cells_and_of_one_size(groups: int) -> None:
    block, _ = clusters([100] * 12)
    trained = train_cells(block, weights=(1, 1), cells=120, seed=0)
    probes = trained.probes(block, 8)
    members = np.bincount(probes[:, 0], minlength=len(trained))
    dealt = deal_cells(trained, members=members, groups=groups)
    sizes = np.bincount(dealt, weights=members, minlength=groups)
    assert sizes.sum() == 1200 and len(sizes) == groups
    assert abs(sizes - 1200 / groups).max() <= members.max()
    shuffled = np.random.default_rng(0).permutation(dealt)

    def groups_probed(dealt: np.ndarray) -> float:
        return float(np.mean([len(set(row)) for row in dealt[probes].tolist()]))

    assert groups == 1 or groups_probed(dealt) < 0.6 * groups_probed(shuffled)


def test_more_groups_than_cells() -> None:
    trained = train_cells(make_block(3), weights=(1, 1), cells=3, seed=0)
    dealt = deal_cells(trained, members=np.array([1, 1, 1]), groups=8)
    assert len(set(dealt.tolist())) == 3 and dealt.min() >= 0 and dealt.max() < 8


def test_refuses_what_makes_no_sense() -> None:
    block = make_block(20)
    trained = train_cells(block, weights=(1, 1), cells=3, seed=0)
    with pytest.raises(ParameterError, match="cells"):
        train_cells(block, weights=(1, 1), cells=0, seed=0)
    with pytest.raises(ParameterError, match="cells"):
        train_cells(block.take(np.empty(0, np.int64)), weights=(1, 1), cells=3, seed=0)
    for weights in [(0.0, 0.0), (-1.0, 1.0), (np.nan, 1.0)]:
        with pytest.raises(ParameterError, match="weights"):
            train_cells(block, weights=weights, cells=3, seed=0)
    with pytest.raises(ParameterError, match="groups = 0"):
        deal_cells(trained, members=np.ones(3, np.int64), groups=0)
    with pytest.raises(ParameterError, match="n = 0"):
        trained.probes(block, 0)
    with pytest.raises(ParameterError, match="21-d': expected 23-d"):
        trained.probes(make_block(5, dimensions=(17, 4)), 1)


@pytest.mark.parametrize("flat_cells", [1000, 5])
def test_probes_within_reach(flat_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "FLAT_CELLS", flat_cells)
    monkeypatch.setattr(cells, "FLAT_TRAINING", flat_cells)
    block = make_block(400)
    trained = train_cells(block, weights=(1, 0.6), cells=30, seed=0)
    vectors = concatenated(block, (1, 0.6)).astype(np.float64)
    near = trained.probes(block, 12)
    far = np.linalg.norm(vectors[:, None] - trained.centroids[near].astype(np.float64), axis=2)
    np.testing.assert_allclose(trained.reaches(block, near), far / far[:, :1], rtol=1e-12)

    for reach in (1.0, 1.07, 1.3, np.inf):
        probes = trained.probes_within(block, reach, 12)
        expected = np.where(far / far[:, :1] <= reach, near, -1)
        np.testing.assert_array_equal(probes, expected[:, : probes.shape[1]])
        assert (expected[:, probes.shape[1] :] == -1).all() and (probes >= 0).any(axis=0).all()
        part = trained.probes_within(block.take(np.arange(7, 11)), reach, 12)
        np.testing.assert_array_equal(part, probes[7:11, : part.shape[1]])

    amid = Cells(
        (1, 0.6), concatenated(block.take(np.arange(3)), (1, 0.6)), trained.hubs[:1], np.array([[0, 1, 2]], np.int32)
    )
    assert amid.probes_within(block.take(np.arange(3)), 1e9, 3).tolist() == [[0], [1], [2]]
    assert trained.probes_within(block.take(np.empty(0, np.int64)), 1.2, 12).shape == (0, 1)
