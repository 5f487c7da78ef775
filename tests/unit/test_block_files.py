"""Samples in pieces on their way into blocks, and where the pairs of blocks are compared; no Spark is started."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from neighbor_blocks import make_block

from avlib.arrays import Float32Array, Int64Array
from avlib.blocks import PackedBlock
from avlib.columns import descriptor_column
from avlib.config import StepSettings, load_settings
from avlib.descriptors import DescriptorStats, normalise_audio
from avlib.errors import WarehouseError
from avlib.neighbors import kernel, tiles
from avlib.planning import Layout
from avlib.planning.cost import packed_bytes
from avlib.spark import block_search, knn
from avlib.spark.block_files import BlockFile, BlockKey, of_pieces, pieces, write_file
from avlib.spark.block_search import BlockSearch
from avlib.spark.list_limits import Limits
from avlib.spark.packing import Packing


def packed(rows: int, *, seed: int = 0, dimensions: tuple[int, int] = (17, 6)) -> PackedBlock:
    block = make_block(rows, dimensions=dimensions, seed=seed)
    return PackedBlock(block, np.random.default_rng(seed).integers(0, 9, rows))


def test_pieces_hold_every_sample_once() -> None:
    given = packed(50)
    numbers = np.random.default_rng(1).integers(3, 7, 50).astype(np.int32)
    halves = [np.arange(20), np.arange(20, 50)]
    blocks = dict(of_pieces(pieces(given.take(half), numbers[half]) for half in halves))
    assert sorted(blocks) == [3, 4, 5, 6]
    for number, found in blocks.items():
        expected = given.take(np.flatnonzero(numbers == number))
        for name in ("ids", "visual", "audio", "times_s"):
            np.testing.assert_array_equal(getattr(found.block, name), getattr(expected.block, name))
        np.testing.assert_array_equal(found.components, expected.components)


@pytest.mark.parametrize(("dimensions", "name"), [((16, 6), "visual"), ((17, 5), "audio")])
def test_pieces_of_another_dimension_are_told_with_a_sample(dimensions: tuple[int, int], name: str) -> None:
    parts = [packed(5), packed(4, dimensions=dimensions)]
    said = rf"sample {parts[1].block.ids[0]}, .* has a {name} .* numbers, sample {parts[0].block.ids[0]} one of"
    with pytest.raises(WarehouseError, match=said):
        list(of_pieces(pieces(part, np.zeros(len(part.block), np.int32)) for part in parts))


def test_a_task_that_packs_many_blocks_holds_what_was_reckoned() -> None:
    """Blocks that rows come to in any order, a few to each of a batch."""
    random, n, dimension, blocks = np.random.default_rng(0), 20_000, 65, 40
    ids, numbers = random.permutation(n) + 5, random.integers(0, blocks, n).astype(np.int32)
    columns = {"sample_id": ids, "component_id": ids % 7, "number": numbers, "time_s": ids / 5}
    rows = pa.table(columns)
    stats = DescriptorStats(np.zeros(dimension), np.ones(dimension), 1)
    packing = Packing((0.0, 1.0), stats, dimension, Layout(512, 1), "/nowhere")

    def sounds(ids: Int64Array) -> Float32Array:
        return (ids[:, None] ** 0.5 + np.arange(dimension)).astype(np.float32)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, n, 256):
            part = rows.slice(start, 256)
            x = descriptor_column(sounds(part["sample_id"].to_numpy()))
            yield part.append_column("audio", x).combine_chunks().to_batches()[0]

    tracemalloc.start()
    found = {}
    for number, one in packing._gathered(rows, batches()):
        np.testing.assert_array_equal(one.block.audio, normalise_audio(sounds(one.block.ids), stats))
        np.testing.assert_array_equal(one.block.times_s, one.block.ids / 5)
        np.testing.assert_array_equal(one.components, one.block.ids % 7)
        assert (np.diff(one.block.ids) > 0).all()
        found[number] = len(one.block)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == dict(enumerate(np.bincount(numbers).tolist()))
    assert n * 4 * dimension < held < n * packed_bytes(dimension)


@pytest.mark.parametrize(("scope", "on_device"), [("component-7", True), ("shared-0", False)])
def test_blocks_of_a_large_component_are_compared_where_the_task_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str, on_device: bool
) -> None:
    """On the GPU that it is given, if any. The CPU folds for it here."""
    whole, asked, folds = packed(60), list[str](), list[str]()

    def fold_on(device: str) -> tiles.Fold:
        def fold(left: kernel.Side, right: kernel.Side, search: kernel.Search, *lists: kernel.Lists | None) -> None:
            folds.append(device)
            tiles.fold_tiles(left, right, search, *lists)  # type: ignore[arg-type]

        return fold

    monkeypatch.setattr(block_search, "task_device", lambda choice: asked.append(choice) or "cuda:3")
    monkeypatch.setattr(block_search, "fold_on", fold_on)
    halves = [whole.take(np.arange(30)), whole.take(np.arange(30, 60))] if on_device else [whole]
    keys = [BlockKey(scope, number, samples=60) for number in range(len(halves))]
    written = [write_file(str(tmp_path), *one).to_pylist() for one in zip(keys, halves, strict=True)]
    group = [asdict(BlockFile(**row)) for (row,) in written]
    step = StepSettings(w_V=1, w_A=1, k=3, min_size=1)
    search = BlockSearch(step, load_settings().knn, DescriptorStats(np.zeros(6), np.ones(6), 1), "auto")
    hand = pa.RecordBatch.from_pydict({"tiles": [json.dumps([[group]])]})
    found = [row for batch in knn._Finder(search, str(tmp_path))([hand]) for row in batch.to_pylist()]
    assert len(found) == len(halves)
    assert (asked, folds) == ((["auto"], ["cuda:3"] * 3) if on_device else ([], []))


def test_limits_are_the_lowest_that_were_told(tmp_path: Path) -> None:
    limits, file, other = Limits(str(tmp_path), "a"), BlockFile("s", 0, 3, 9, 1), BlockFile("s", 1, 3, 9, 1)
    assert limits.read(file).tolist() == [np.inf] * 3
    limits.lower(file, np.array([1, np.inf, 3], np.float32))
    limits.lower(file, np.array([2, 2, np.inf], np.float32))
    assert limits.read(file).tolist() == [1, 2, 3]
    assert limits.read(other).tolist() == Limits(str(tmp_path), "b").read(file).tolist() == [np.inf] * 3


@pytest.mark.parametrize(
    "damage", [lambda told: told[:-1], lambda told: bytes(len(told)), lambda told: told[:16], lambda _: b""]
)
def test_limits_that_lost_power_are_none(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    limits, file = Limits(str(tmp_path), "a"), BlockFile("s", 0, 3, 9, 1)
    limits.lower(file, np.ones(3, np.float32))
    (written,) = tmp_path.iterdir()
    written.write_bytes(damage(written.read_bytes()))
    assert limits.read(file).tolist() == [np.inf] * 3
