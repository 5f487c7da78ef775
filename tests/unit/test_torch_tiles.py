"""Tiles on torch's devices: here its CPU, for all that a GPU is asked to do but the GPU itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_blocks import RULES, WEIGHTS, assert_same, make_block

from avlib.errors import ConfigError
from avlib.neighbors import (
    Block,
    NeighborLists,
    NeighborRule,
    PairSearch,
    exact,
    fold_on,
    kernel,
    nearest,
    side,
    tiles,
    torch_tiles,
)
from avlib.neighbors.torch_tiles import TorchTiles

DEVICES = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]


@pytest.fixture(autouse=True)
def _every_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is too small."""
    monkeypatch.setattr(torch_tiles, "WORTH_PAIRS", 0)


def pair_lists(blocks: list[Block], fold: tiles.Fold, *, weights: tuple[float, float], k: int, rule: NeighborRule):
    search, sides = PairSearch(weights=weights, k=k, rule=rule, fold=fold), [side(block) for block in blocks]
    for left, right in itertools.combinations_with_replacement(sides, 2):
        search.fold(left, right)
    return search.lists()


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 90),
    videos=st.integers(1, 30),
    k=st.integers(1, 12),
    rule=st.sampled_from(RULES),
    weights=st.sampled_from(WEIGHTS),
    pieces=st.integers(1, 3),
    tile=st.sampled_from([4096, 32, 7]),
    together=st.sampled_from([1 << 20, 40]),
    seed=st.integers(0, 2**16),
)
def test_the_same_lists_as_the_kernel(
    device: str,
    rows: int,
    videos: int,
    k: int,
    rule: NeighborRule,
    weights: tuple[float, float],
    pieces: int,
    tile: int,
    together: int,
    seed: int,
) -> None:
    block = make_block(rows, videos=videos, seed=seed)
    blocks = [block.take(part) for part in np.array_split(np.random.default_rng(seed).permutation(rows), pieces)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_tiles, "WORTH_PAIRS", 0)
        patch.setattr(torch_tiles, "ROWS", tile)
        patch.setattr(torch_tiles, "_PAIRS", together)
        patch.setattr(torch_tiles, "_DISTANCE_BYTES", 8 * 17 * 5)  # five pairs at a time
        found = pair_lists(blocks, TorchTiles(device), weights=weights, k=k, rule=rule)
    assert_same(found, pair_lists(blocks, tiles.fold_tiles, weights=weights, k=k, rule=rule))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_lists_of_one_side(device: str, rule: NeighborRule) -> None:
    """Of queries that are among the samples, too."""
    block = make_block(400, videos=40, dimensions=(70, 13))
    queries, samples = side(block.take(np.arange(0, 400, 3))), side(block)
    search, found = exact.search_for((1.0, 0.5), 6, rule), []
    for fold in (TorchTiles(device), tiles.fold_tiles):
        lists = kernel.empty_lists(len(queries.ids), 6)
        fold(queries, samples, search, lists, None)
        found.append(NeighborLists(queries.ids, *lists))
    assert_same(*found)


@pytest.mark.parametrize("device", DEVICES)
def test_two_sides_stay_on_the_device(device: str) -> None:
    sides, fold = [side(make_block(20, seed=seed)) for seed in range(3)], TorchTiles(device)
    first, second = (fold._on_device(one) for one in sides[:2])
    assert fold._on_device(sides[0]) is first
    third = fold._on_device(sides[2])
    assert fold._on_device(sides[0]) is first and fold._on_device(sides[2]) is third
    assert fold._on_device(sides[1]) is not second


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_few_pairs_pass_though_no_list_is_full(device: str, rule: NeighborRule) -> None:
    """The distances of a tile are taken of what k pairs of it keep to, not of all."""
    there = TorchTiles(device)._on_device(side(make_block(3000, videos=300, dimensions=(32, 8))))
    tile, lists = torch_tiles._Tile(there, there, exact.search_for((1.0, 1.0), 5, rule)), kernel.empty_lists(3000, 5)
    pairs = sum(len(rows) for rows, _ in tile.passing(lists, lists, once=True))
    assert 3000 * 5 / 2 < pairs < 3000 * 5 * 12


def test_few_pairs_are_folded_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_tiles, "WORTH_PAIRS", 101)
    monkeypatch.setattr(TorchTiles, "_fold", lambda *given: pytest.fail("on the device"))
    block = make_block(10)
    found = pair_lists([block], TorchTiles("cpu"), weights=(1.0, 1.0), k=3, rule=NeighborRule())
    assert_same(found, nearest(block, [block], weights=(1.0, 1.0), k=3, rule=NeighborRule()))


def test_a_device_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: TorchTiles, *given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64 MiB.\nand more")

    monkeypatch.setattr(TorchTiles, "_fold", full)
    with pytest.raises(ConfigError, match=r"cpu has no memory for two blocks .*64 MiB\.; let fewer tasks share a GPU"):
        pair_lists([make_block(10)], TorchTiles("cpu"), weights=(1.0, 1.0), k=3, rule=NeighborRule())


def test_where_pairs_are_folded() -> None:
    assert fold_on("cpu") is tiles.fold_tiles
    assert isinstance(fold_on("cuda:1"), TorchTiles)
