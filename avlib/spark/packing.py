"""Which block a sample falls into, and packing them: normalised, in the files that kNN's tasks read.

Which block a sample falls into follows from its id, or its component's, alone: nothing is sorted, and a block that is
lost can be packed again by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Float32Array, Int64Array
from avlib.blocks import PackedBlock
from avlib.columns import descriptor_rows
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.neighbors import Block, runs
from avlib.planning import Layout, packing_readers
from avlib.spark.block_files import (
    BLOCK_FILE,
    PIECE,
    BlockFile,
    BlockFiles,
    BlockKey,
    files_of,
    of_other_dimension,
    pieces,
    unusable,
)
from avlib.spark.descriptor_files import DescriptorFiles
from avlib.spark.resources import slots
from avlib.storage import is_file, read_whole, write_whole

SHARED = "shared"
"""Scopes of this name and a number hold whole components, as many as fit into one block."""

_OWN = "component"

OF_COMPONENTS = (SHARED, _OWN)
"""How the names of scopes begin where samples are in components."""

_BROADCAST_ROWS = 1_000_000  # of samples' components, which every executor may hold: some 60 MB

Cut = Callable[[pa.RecordBatch, Block], pa.RecordBatch]
"""Makes rows of PIECE of some samples, from their columns and as they are normalised."""


@dataclass(frozen=True)
class BlockLayout:
    """Which block a sample falls into: shared ones, by its component, or one of its large component's own.

    in_small: samples of components that fit into a block of block_rows.  large: size by component of the others, in
    ascending order of components.
    """

    block_rows: int
    in_small: int
    large: Mapping[int, int]

    @property
    def shared(self) -> int:
        """How many blocks are shared."""
        return math.ceil(self.in_small / self.block_rows)

    def __len__(self) -> int:
        return self.shared + int(self._counts.sum())

    def numbered(self, rows: DataFrame) -> DataFrame:
        """Adds the `number` of each sample's block, an int from 0. rows: sample_id and component_id."""
        shared = F.pmod(F.xxhash64("component_id"), F.lit(max(self.shared, 1)))
        if not self.large:
            return rows.withColumn("number", shared.cast("int"))
        if len(self.large) == 1 and not self.shared:
            return rows.withColumn("number", F.pmod(F.xxhash64("sample_id"), F.lit(len(self))).cast("int"))
        arrays = {"component_id": self._large, "blocks": self._counts, "first": self._starts}
        large = F.broadcast(rows.sparkSession.createDataFrame(pa.table(arrays)))
        own = F.col("first") + F.pmod(F.xxhash64("sample_id"), "blocks")
        found = rows.join(large, "component_id", "left").withColumn("number", F.coalesce(own, shared).cast("int"))
        return found.drop("blocks", "first")

    def key(self, number: int) -> BlockKey:
        """Of a block, by its number."""
        if number < self.shared:
            return BlockKey(f"{SHARED}-{number}", 0)
        at = int(np.searchsorted(self._starts, number, side="right")) - 1
        component = int(self._large[at])
        return BlockKey(f"{_OWN}-{component}", number - int(self._starts[at]), self.large[component])

    @cached_property
    def _large(self) -> Int64Array:
        return np.array(list(self.large), np.int64)

    @cached_property
    def _counts(self) -> Int64Array:
        """How many blocks each large component has."""
        return -(-np.array(list(self.large.values()), np.int64) // self.block_rows)

    @cached_property
    def _starts(self) -> Int64Array:
        return self.shared + np.cumsum(self._counts) - self._counts


@dataclass(frozen=True)
class Components:
    """Samples in components.

    rows: sample_id, component_id.  large: size by component, of those larger than a block.  in_small: samples of the
    others.
    """

    rows: DataFrame
    large: Mapping[int, int]
    in_small: int

    @classmethod
    def of(cls, rows: DataFrame, *, block_rows: int) -> Components:
        """All samples of rows."""
        sizes = rows.groupBy("component_id").agg(F.count("*").alias("samples"))
        is_large = F.col("samples") > block_rows
        named = F.collect_list(F.when(is_large, F.struct("component_id", "samples")))
        found = sizes.agg(named, F.sum(F.when(~is_large, F.col("samples")))).first()
        assert found is not None
        return cls(rows, dict(sorted(tuple(row) for row in found[0])), found[1] or 0)

    def __len__(self) -> int:
        return self.in_small + sum(self.large.values())

    def without(self, component: int) -> Components:
        """The others than a large one."""
        large = {other: size for other, size in self.large.items() if other != component}
        return replace(self, rows=self.rows.where(F.col("component_id") != component), large=large)


@dataclass(frozen=True)
class Assigned:
    """rows: of samples, with component_id and the number of their block."""

    rows: DataFrame
    layout: BlockLayout


@dataclass(frozen=True)
class Packing:
    """How samples become blocks.

    weights: (w_V, w_A); descriptors of weight 0 are left out.  dimension: numbers of a sample that count.  shape: of
    the tasks.  folder: where the files go.  files: where descriptors lie; None: they are columns.
    """

    weights: tuple[float, float]
    stats: DescriptorStats
    dimension: int
    shape: Layout
    folder: str
    files: DescriptorFiles | None = None

    def assign(self, samples: DataFrame, *, count: int) -> Assigned:
        """All samples, `count` of them, as one component."""
        large = {0: count} if count > self.shape.block_rows else {}
        layout = BlockLayout(self.shape.block_rows, 0 if large else count, large)
        return Assigned(layout.numbered(samples.withColumn("component_id", F.lit(0).cast("bigint"))), layout)

    def assign_scoped(self, samples: DataFrame, inside: Components) -> Assigned:
        """Samples in components.

        A component larger than a block is a scope of its own, cut into blocks. The others are dealt out to shared
        blocks, each a scope of one block.
        """
        layout = BlockLayout(self.shape.block_rows, inside.in_small, inside.large)
        numbered = layout.numbered(inside.rows.select("sample_id", "component_id"))
        # However many they are, samples are not sorted with their descriptors.
        numbered = numbered.hint("broadcast" if len(inside) <= _BROADCAST_ROWS else "shuffle_hash")
        return Assigned(samples.join(numbered, "sample_id"), layout)

    def pack(self, assigned: Assigned, only: Collection[str] | None = None) -> list[BlockFile]:
        """Write the blocks of assigned samples, or some, by their names. A hash may leave a block empty: no file."""
        layout = assigned.layout
        if not len(layout):
            return []
        blocks, others = BlockFiles(self.folder, len(layout), layout.key, only), ["component_id", "number"]
        names, readers = self._names(others), packing_readers(len(layout), self.dimension, self.shape)
        if readers and self.files is not None and self.files.are_near and self.files.hold(assigned.rows, names):

            def write(rows: pa.Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
                for number, packed in self._gathered(rows, batches):
                    yield blocks.write_one(number, packed)

            rows = blocks.wanted(assigned.rows)
            return files_of(self.files.map_by_number(rows, names, write, BLOCK_FILE, tasks=readers))

        def cut(batch: pa.RecordBatch, block: Block) -> pa.RecordBatch:
            return pieces(PackedBlock(block, batch["component_id"].to_numpy()), batch["number"].to_numpy())

        return blocks.write_all(self.in_pieces(assigned.rows, cut, others=others))

    def _gathered(self, rows: pa.Table, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, PackedBlock]]:
        """The blocks of samples, and their numbers.

        rows: sample_id, component_id and number of all of them.  batches: their descriptors, in any order.
        """
        numbers, ids = rows["number"].to_numpy(), rows["sample_id"].to_numpy()
        order = np.lexsort((ids, numbers))  # block after block
        numbers, ids, components = numbers[order], ids[order], rows["component_id"].to_numpy()[order]
        by_id = np.argsort(ids)
        visual = audio = np.empty((0, 0), np.float32)
        times_s = np.empty(len(ids))
        for batch in batches:
            block = self.normalised(pa.Table.from_batches([batch]))
            if not len(visual):
                visual, audio = (np.empty((len(ids), x.shape[1]), np.float32) for x in (block.visual, block.audio))
                first = block.ids[0]
            for name, one, all_of in (("visual", block.visual, visual), ("audio", block.audio, audio)):
                if one.shape[1] != all_of.shape[1]:
                    raise of_other_dimension(name, block.ids[0], one.shape[1], first, all_of.shape[1])
            at = by_id[np.searchsorted(ids, block.ids, sorter=by_id)]
            visual[at], audio[at], times_s[at] = block.visual, block.audio, block.times_s
        for start, stop in runs(numbers):
            part = slice(start, stop)
            block = Block(ids[part], visual[part], audio[part], times_s[part])
            yield int(numbers[start]), PackedBlock(block, components[part])

    def normalised(self, rows: pa.Table) -> Block:
        """Samples ready for distances. rows: sample_id, time_s and the raw descriptors that count.

        Raises WarehouseError, naming the sample, for descriptors of several dimensions, NaN and infinity.
        """
        ids: Int64Array = rows["sample_id"].to_numpy()
        visual = audio = np.zeros((len(ids), 0), np.float32)
        if self.weights[0]:
            visual = normalise_visual(_finite(rows, "visual", ids))
        if self.weights[1]:
            audio = normalise_audio(_finite(rows, "audio", ids), self.stats)
        return Block(ids, visual, audio, rows["time_s"].to_numpy())

    def descriptors(self) -> list[str]:
        """The raw descriptors that count."""
        return [name for name, weight in zip(("visual", "audio"), self.weights, strict=True) if weight]

    def in_pieces(self, samples: DataFrame, cut: Cut, *, others: Sequence[str] = ()) -> DataFrame:
        """Rows of PIECE of samples.

        samples: sample_id, time_s, the raw descriptors that count, and others.
        """
        names, cut_all = self._names(others), partial(self._cut, cut=cut)
        if self.files is None:
            return samples.select(*names).mapInArrow(cut_all, from_arrow_schema(PIECE))
        return self.files.map_in_arrow(samples, names, cut_all, PIECE)

    def _names(self, others: Sequence[str]) -> list[str]:
        return ["sample_id", "time_s", *self.descriptors(), *others]

    def _cut(self, batches: Iterable[pa.RecordBatch], cut: Cut) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield cut(batch, self.normalised(pa.Table.from_batches([batch])))


def remembered(folder: str, name: str, pack: Callable[[], list[BlockFile]]) -> list[BlockFile]:
    """The blocks that `pack` writes into a folder; those that a run before a kill has written there are taken."""
    found = kept_values(f"{folder}/{name}.json", lambda: [asdict(block) for block in pack()])
    return [BlockFile(**values) for values in found]


def planned_slots(spark: SparkSession, folder: str) -> int:
    """For how many tasks at a time the search in this folder is laid out: the slots there were when it began.

    After a kill it goes on, though on a cluster of another size: laid out anew, no finished part of it would fit.
    """
    return int(kept_values(f"{folder}/slots.json", lambda: slots(spark)))


def kept_values(place: str, make: Callable[[], Any]) -> Any:
    """What is made, as JSON holds it, by the first run that asks for it here."""
    if is_file(place):
        with suppress(ValueError):  # not whole: the machine lost power
            return json.loads(read_whole(place).to_pybytes())
    made = json.dumps(make())
    write_whole(place, made.encode())
    return json.loads(made)  # as the next run will find it


def _finite(rows: pa.Table, name: str, ids: Int64Array) -> Float32Array:
    """A descriptor of some samples. Raises WarehouseError, naming the sample, for another dimension and for NaN."""
    column = rows[name].combine_chunks()
    lengths = column.value_lengths().to_numpy()
    if (lengths != lengths[0]).any():
        odd = int(np.flatnonzero(lengths != lengths[0])[0])
        raise unusable(ids[odd], f"has a {name} descriptor of {lengths[odd]} numbers, others of {lengths[0]}")
    values = descriptor_rows(column)
    whole = np.isfinite(values).all(axis=1)
    if not whole.all():
        raise unusable(ids[int(np.flatnonzero(~whole)[0])], f"has NaN or infinity in its {name} descriptor")
    return values
