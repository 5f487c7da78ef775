"""Samples into blocks, the files that kNN's tasks read.

Which block a sample falls into follows from its id, or its component's, alone: nothing is sorted, and a block that is
lost can be packed again by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Float32Array, Int64Array
from avlib.blocks import PackedBlock, write_block
from avlib.columns import descriptor_rows
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.errors import WarehouseError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.neighbors import Block
from avlib.spark.resources import slots
from avlib.storage import is_file, read_whole, write_whole

SHARED = "shared"
"""Scopes of this name and a number hold whole components, as many as fit into one block."""

OF_COMPONENTS = (SHARED, "component")
"""How the names of scopes begin where samples are in components."""

BLOCK_FILE = pa.schema(
    [
        ("scope", pa.string()),
        ("block", pa.int64()),
        ("rows", pa.int64()),
        ("samples", pa.int64()),
        ("size_bytes", pa.int64()),
    ]
)
"""Rows of BlockFile."""


@dataclass(frozen=True)
class BlockFile:
    """A block that has been packed. samples: of its scope's component, where that is one."""

    scope: str
    block: int
    rows: int
    samples: int
    size_bytes: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.scope}-{self.block}"


@dataclass(frozen=True)
class Packing:
    """How samples become blocks.

    weights: (w_V, w_A); descriptors of weight 0 are left out.  folder: where the files go.
    """

    weights: tuple[float, float]
    stats: DescriptorStats
    block_rows: int
    folder: str

    def assign(self, samples: DataFrame, *, count: int) -> DataFrame:
        """Samples with scope, block, component_id and samples, the size of the component: of all, which are one."""
        one = {"component_id": F.lit(0).cast("bigint"), "samples": F.lit(count).cast("bigint")}
        return self._assigned(samples.withColumns(one), in_small=count if count <= self.block_rows else 0)

    def assign_scoped(self, samples: DataFrame, scope: DataFrame) -> DataFrame:
        """The same for samples in components. scope: sample_id, component_id.

        A component larger than a block is a scope of its own, cut into blocks. The others are dealt out to shared
        blocks, each a scope of one block.
        """
        sizes = scope.groupBy("component_id").agg(F.count("*").alias("samples"))
        small = sizes.where(F.col("samples") <= self.block_rows).agg(F.sum("samples")).first()
        in_small = (small[0] if small else None) or 0
        return self._assigned(samples.join(scope.join(sizes, "component_id"), "sample_id"), in_small=in_small)

    def _assigned(self, scoped: DataFrame, *, in_small: int) -> DataFrame:
        shared = math.ceil(in_small / self.block_rows) or 1
        large = F.col("samples") > self.block_rows
        own_blocks = F.ceil(F.col("samples") / self.block_rows)
        return scoped.select(
            "sample_id",
            "component_id",
            "time_s",
            *self.descriptors(),
            F.when(large, F.concat(F.lit("component-"), "component_id"))
            .otherwise(F.concat(F.lit(f"{SHARED}-"), F.pmod(F.xxhash64("component_id"), F.lit(shared))))
            .alias("scope"),
            F.when(large, F.pmod(F.xxhash64("sample_id"), own_blocks)).otherwise(0).cast("bigint").alias("block"),
            "samples",
        )

    def pack(self, assigned: DataFrame) -> list[BlockFile]:
        """Write the blocks of assigned samples. A hash may leave a block empty: it has no file."""

        def pack(rows: pa.Table) -> pa.Table:  # Spark reads these types, which a method would hide
            return _pack(rows, self)

        packed = assigned.groupBy("scope", "block").applyInArrow(pack, from_arrow_schema(BLOCK_FILE))
        return [BlockFile(**row.asDict()) for row in packed.collect()]

    def pack_again(self, assigned: DataFrame, names: Iterable[str]) -> None:
        """Write some blocks once more."""
        self.pack(assigned.where(F.concat_ws("-", "scope", "block").isin(list(names))))

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


def _pack(rows: pa.Table, packing: Packing) -> pa.Table:
    rows = rows.sort_by("sample_id")
    block = packing.normalised(rows)
    components, sizes = (rows[name].to_numpy() for name in ("component_id", "samples"))
    packed = PackedBlock(block, components, sizes)
    file = BlockFile(rows["scope"][0].as_py(), rows["block"][0].as_py(), len(block), rows["samples"][0].as_py(), 0)
    size_bytes = write_block(packing.folder, file.name, packed)
    return pa.table([[file.scope], [file.block], [file.rows], [file.samples], [size_bytes]], schema=BLOCK_FILE)


def _finite(rows: pa.Table, name: str, ids: Int64Array) -> Float32Array:
    """A descriptor of some samples. Raises WarehouseError, naming the sample, for another dimension and for NaN."""
    column = rows[name].combine_chunks()
    lengths = column.value_lengths().to_numpy()
    if (lengths != lengths[0]).any():
        odd = int(np.flatnonzero(lengths != lengths[0])[0])
        raise _unusable(ids[odd], f"has a {name} descriptor of {lengths[odd]} numbers, others of {lengths[0]}")
    values = descriptor_rows(column)
    whole = np.isfinite(values).all(axis=1)
    if not whole.all():
        raise _unusable(ids[int(np.flatnonzero(~whole)[0])], f"has NaN or infinity in its {name} descriptor")
    return values


def _unusable(sample_id: int, problem: str) -> WarehouseError:
    return WarehouseError(
        f"samples: sample {sample_id}, of video {sample_id >> VIDEO_ID_SHIFT}, {problem}; describe it again, into a "
        "new warehouse or after `avlib describe` with the settings you want"
    )
