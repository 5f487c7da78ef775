"""Which block a sample falls into, and that blocks are the same however their samples come together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from filled_store import fill
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from raw_samples import DIMENSIONS, RawSamples

from avlib.blocks import PackedBlock, open_blocks
from avlib.planning import Layout
from avlib.planning.cost import TILE_BYTES, packed_bytes
from avlib.spark import packing
from avlib.spark.block_files import BlockFile
from avlib.spark.packing import Assigned, BlockLayout, Components, Packing
from avlib.spark.samples import audio_samples, files_of_samples
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


@pytest.mark.parametrize(
    ("sizes", "block_rows"), [([3, 40, 1, 21, 20, 64], 20), ([5, 6, 7], 20), ([30], 8), ([1], 1), ([9, 2], 1)]
)
def test_components_share_blocks_or_have_their_own(spark: SparkSession, sizes: list[int], block_rows: int) -> None:
    random = np.random.default_rng(0)
    ids = np.sort(random.choice(1 << 40, len(sizes), replace=False))
    components = random.permutation(np.repeat(ids, sizes))
    sample_ids = random.choice(1 << 40, len(components), replace=False)
    size_of = dict(zip(ids.tolist(), sizes, strict=True))
    large = {component: size for component, size in size_of.items() if size > block_rows}
    layout = BlockLayout(block_rows, sum(sizes) - sum(large.values()), large)
    rows = spark.createDataFrame(pa.table({"sample_id": sample_ids, "component_id": components}))
    hashes = {"of_sample": F.xxhash64("sample_id"), "of_component": F.xxhash64("component_id")}
    found = layout.numbered(rows).withColumns(hashes).collect()
    assert len(found) == sum(sizes)
    keys = [layout.key(number) for number in range(len(layout))]
    assert len({key.name for key in keys}) == len(keys)
    for row in found:
        component, size = row["component_id"], size_of[row["component_id"]]
        if component in large:
            block = row["of_sample"] % -(-size // block_rows)
            assert keys[row["number"]] == (f"component-{component}", block, size)
        else:
            assert keys[row["number"]] == (f"shared-{row['of_component'] % layout.shared}", 0, 0)


def test_blocks_are_the_same_as_ever(spark: SparkSession) -> None:
    """A run that was killed goes on in the blocks that it had, with a later version too."""
    rows = pa.table({"sample_id": [16777216, 16777219, 33554432, 50331651], "component_id": [7, 7, 16777216, 8]})
    found = BlockLayout(10, 25, {7: 31}).numbered(spark.createDataFrame(rows)).collect()
    assert {row["sample_id"]: row["number"] for row in found} == {16777216: 5, 16777219: 4, 33554432: 0, 50331651: 2}
    one = BlockLayout(10, 0, {0: 31}).numbered(spark.createDataFrame(rows).withColumn("component_id", F.lit(0)))
    numbers = {row["sample_id"]: row["number"] for row in one.collect()}
    assert numbers == {16777216: 2, 16777219: 1, 33554432: 0, 50331651: 2}


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.0, 1.0)])
def test_blocks_are_the_same_read_by_their_tasks_or_shuffled(
    store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: tuple[float, float]
) -> None:
    raw = RawSamples()
    fill(store, raw)
    samples = audio_samples(store, "audio_mfcc65")
    files = files_of_samples(store, visual="visual", audio="audio_mfcc65")
    components = store.spark.createDataFrame(
        pa.table({"sample_id": raw.ids, "component_id": np.where(raw.ids % 3 > 0, 5, raw.ids % 11 + 6)})
    )
    inside = Components.of(components, block_rows=30)
    assert inside.large and inside.in_small > 30

    dimension = sum(size for size, weight in zip(DIMENSIONS, weights, strict=True) if weight)

    def packed(name: str, blocks_a_task: int) -> tuple[Packing, Assigned, list[BlockFile]]:
        task_bytes = TILE_BYTES + (3 + blocks_a_task) * 30 * packed_bytes(dimension)
        own = Packing(weights, raw.stats, dimension, Layout(30, 2, task_bytes), str(tmp_path / name), files)
        assigned = own.assign_scoped(samples, inside)
        return own, assigned, own.pack(assigned)

    _, _, expected = packed("shuffled", 0)
    shuffles = _forbidden(monkeypatch)
    for name, blocks_a_task in (("two tasks", 100), ("five tasks", 1)):
        own, assigned, found = packed(name, blocks_a_task)
        assert sorted(found, key=lambda file: file.name) == sorted(expected, key=lambda file: file.name)
        _assert_same(tmp_path / "shuffled", tmp_path / name, expected)
        lost = [found[0].name, found[-1].name]
        for block in lost:
            (tmp_path / name / f"{block}.arrow").unlink()
        assert sorted(file.name for file in own.pack(assigned, lost)) == sorted(lost)
        _assert_same(tmp_path / "shuffled", tmp_path / name, expected)
    assert not shuffles
    held = np.concatenate([_read(tmp_path / "shuffled", file).block.ids for file in expected])
    assert np.array_equal(np.sort(held), raw.ids)


def _forbidden(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is packed by a shuffle from now on."""
    shuffled: list[str] = []
    in_pieces = Packing.in_pieces

    def noted(self: Packing, *given: object, **named: object) -> object:
        shuffled.append(self.folder)
        return in_pieces(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(packing.Packing, "in_pieces", noted)
    return shuffled


def _read(folder: Path, file: BlockFile) -> PackedBlock:
    with open_blocks(str(folder), cache_bytes=1 << 20) as blocks:
        return blocks.read(file.name, size_bytes=file.size_bytes)


def _assert_same(folder: Path, other: Path, files: Sequence[BlockFile]) -> None:
    for file in files:
        one, two = _read(folder, file), _read(other, file)
        assert np.array_equal(one.components, two.components)
        for name in ("ids", "times_s", "visual", "audio"):
            assert np.array_equal(getattr(one.block, name), getattr(two.block, name))
