"""Which block a sample falls into, and packing them: normalised, in the files that kNN's tasks read.

Which block a sample falls into follows from its id, or its component's, alone: nothing is sorted, and a block that is
lost can be packed again by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Float32Array, Int32Array, Int64Array
from avlib.blocks import PackedBlock
from avlib.columns import descriptor_rows
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.neighbors import Block
from avlib.spark.block_files import PIECE, BlockFile, block_name, pieces, unusable, write_pieces
from avlib.spark.resources import slots
from avlib.storage import is_file, read_whole, write_whole

SHARED = "shared"
"""Scopes of this name and a number hold whole components, as many as fit into one block."""

_OWN = "component"

OF_COMPONENTS = (SHARED, _OWN)
"""How the names of scopes begin where samples are in components."""

_BROADCAST_ROWS = 1_000_000  # of samples' components, which every executor may hold: some 80 MB

DRAWS = {"sample_draw": "sample_id", "component_draw": "component_id"}
"""What blocks follow from, and of which ids they are hashes."""


@dataclass(frozen=True)
class BlockLayout:
    """Which block a sample falls into: shared ones, by its component, or one of its large component's own.

    shared: how many there are.  large: components larger than a block, ascending.  own: how many blocks each has.
    """

    shared: int
    large: Sequence[int] = ()
    own: Sequence[int] = ()

    def __len__(self) -> int:
        return self.shared + sum(self.own)

    def numbers(self, components: Int64Array, draws: Int64Array, component_draws: Int64Array) -> Int32Array:
        """The block of each sample, from 0. draws, component_draws: hashes of its id, and its component's."""
        if not self.large:
            return np.asarray(component_draws % self.shared, np.int32)
        large, own, starts = np.array(self.large), np.array(self.own), self._starts()
        at = np.searchsorted(large, components).clip(max=len(large) - 1)
        in_large = large[at] == components
        return np.where(in_large, starts[at] + draws % own[at], component_draws % max(self.shared, 1)).astype(np.int32)

    def name(self, number: int) -> tuple[str, int]:
        """Scope and block."""
        if number < self.shared:
            return f"{SHARED}-{number}", 0
        starts = self._starts()
        at = int(np.searchsorted(starts, number, side="right")) - 1
        return f"{_OWN}-{self.large[at]}", number - int(starts[at])

    def _starts(self) -> Int64Array:
        return self.shared + np.cumsum([0, *self.own], dtype=np.int64)[:-1]


@dataclass(frozen=True)
class Assigned:
    """rows: sample_id, time_s, the raw descriptors that count, component_id, samples (its size), and DRAWS."""

    rows: DataFrame
    layout: BlockLayout


@dataclass(frozen=True)
class Packing:
    """How samples become blocks.

    weights: (w_V, w_A); descriptors of weight 0 are left out.  folder: where the files go.
    """

    weights: tuple[float, float]
    stats: DescriptorStats
    block_rows: int
    folder: str

    def assign(self, samples: DataFrame, *, count: int) -> Assigned:
        """All samples, `count` of them, as one component."""
        one = {"component_id": F.lit(0).cast("bigint"), "samples": F.lit(count).cast("bigint")}
        large = [(0, count)] if count > self.block_rows else []
        return self._assigned(samples.withColumns(one), large=large, in_small=0 if large else count)

    def assign_scoped(self, samples: DataFrame, scope: DataFrame) -> Assigned:
        """Samples in components. scope: sample_id, component_id.

        A component larger than a block is a scope of its own, cut into blocks. The others are dealt out to shared
        blocks, each a scope of one block.
        """
        sizes = scope.groupBy("component_id").agg(F.count("*").alias("samples"))
        is_large = F.col("samples") > self.block_rows
        named = F.collect_list(F.when(is_large, F.struct("component_id", "samples")))
        found = sizes.agg(named, F.sum(F.when(~is_large, F.col("samples"))), F.sum("samples")).first()
        assert found is not None
        large, in_small, count = sorted(tuple(row) for row in found[0]), found[1] or 0, found[2] or 0
        of_samples = scope.select("sample_id", "component_id").join(sizes, "component_id")
        # However many they are, samples are not sorted with their descriptors.
        of_samples = of_samples.hint("broadcast" if count <= _BROADCAST_ROWS else "shuffle_hash")
        return self._assigned(samples.join(of_samples, "sample_id"), large=large, in_small=in_small)

    def _assigned(self, scoped: DataFrame, *, large: Sequence[tuple[int, int]], in_small: int) -> Assigned:
        shared = math.ceil(in_small / self.block_rows)
        own = [math.ceil(samples / self.block_rows) for _, samples in large]
        draws = [F.xxhash64(name).alias(draw) for draw, name in DRAWS.items()]
        rows = scoped.select("sample_id", "time_s", *self.descriptors(), "component_id", "samples", *draws)
        return Assigned(rows, BlockLayout(shared, [component for component, _ in large], own))

    def pack(self, assigned: Assigned, only: Iterable[str] | None = None) -> list[BlockFile]:
        """Write the blocks of assigned samples, or some, by their names. A hash may leave a block empty: no file."""
        layout = assigned.layout
        if not len(layout):
            return []
        wanted = None
        if only is not None:
            names = set(only)
            wanted = [number for number in range(len(layout)) if block_name(*layout.name(number)) in names]

        def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                components, *draws = (batch[name].to_numpy() for name in ("component_id", *DRAWS))
                numbers = layout.numbers(components, *draws)
                if wanted is not None:
                    kept = np.isin(numbers, wanted)
                    batch, numbers = batch.filter(pa.array(kept)), numbers[kept]
                if batch.num_rows:
                    components, sizes = (batch[name].to_numpy() for name in ("component_id", "samples"))
                    block = self.normalised(pa.Table.from_batches([batch]))
                    yield pieces(PackedBlock(block, components, sizes), numbers)

        rows = assigned.rows.mapInArrow(cut, from_arrow_schema(PIECE))
        return write_pieces(rows, self.folder, blocks=len(layout), name=layout.name)

    def normalised(self, rows: pa.Table) -> Block:
        """Samples ready for distances. rows: sample_id, time_s and the raw descriptors, as `assign` names them.

        Raises WarehouseError, naming the sample, for descriptors of several dimensions, NaN and infinity.
        """
        ids: Int64Array = rows["sample_id"].to_numpy()
        visual = audio = np.zeros((len(ids), 0), np.float32)
        if self.weights[0]:
            visual = normalise_visual(_finite(rows, "visual", ids))
        if self.weights[1]:
            audio = normalise_audio(_finite(rows, "audio", ids), self.stats)
        return Block(ids, visual, audio, rows["time_s"].to_numpy())

    def descriptors(self) -> list[Column]:
        """The raw descriptors that count."""
        columns = {"visual": F.col("visual"), "audio": F.col("audio")}
        return [
            column.alias(name) for (name, column), weight in zip(columns.items(), self.weights, strict=True) if weight
        ]


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
