"""knn: samples, components of the step before → neighbors. The k nearest samples by w_V·d_V + w_A·d_A.

Samples are packed into blocks, files that every worker can read. A task owns one block of queries and runs over the
blocks of its scope: all blocks in an unscoped step, those of the same component in a scoped one. Components that fit
share a block. Which block a sample falls into follows from its id alone, so nothing has to be sorted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.arrays import Int64Array
from avlib.config import KnnSettings, Settings, StepSettings
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.errors import WarehouseError
from avlib.filtering import cap_k
from avlib.neighbors import Block, NeighborLists, NeighborRule, nearest, nearest_within
from avlib.spark.columns import descriptor_column, descriptor_rows
from avlib.spark.progress import watched
from avlib.spark.samples import live_samples, samples_described_with
from avlib.spark.stats import latest_stats
from avlib.spark.store import TableStore
from avlib.storage import read_whole, write_whole

_BLOCK_ROW = pa.schema([("scope", pa.string()), ("block", pa.int64()), ("rows", pa.int64()), ("samples", pa.int64())])
_TASK = "scope string, block bigint, blocks array<bigint>"
_NEIGHBORS = pa.schema([field for field in tables.NEIGHBORS.schema if field.name != "step"])


def run(store: TableStore, settings: Settings, step: int) -> None:
    """Write the neighbor lists of one step (0 is the first)."""
    samples_described_with(store)
    samples = live_samples(store)
    scope = store.read(tables.COMPONENTS, step=step - 1) if step else None
    if scope is not None and scope.isEmpty():
        raise WarehouseError(f"step {step}: step {step - 1} has not been run, or left no samples")
    # What later results were made from is about to change.
    for table in tables.BY_STEP:
        store.drop_steps(table, first=step + 1 if table is tables.NEIGHBORS else step)
    search = BlockSearch(settings.filter.steps[step], settings.knn, latest_stats(store))
    with watched(store.spark, f"knn, step {step}"), store.scratch("knn") as folder:
        lists = neighbors(samples, search, scope=scope, folder=folder)
        store.write_step(tables.NEIGHBORS, lists, step=step)


@dataclass(frozen=True)
class BlockSearch:
    """One step's search, as the workers need it."""

    step: StepSettings
    knn: KnnSettings
    stats: DescriptorStats

    @property
    def rule(self) -> NeighborRule:
        """Which samples may be neighbors."""
        return NeighborRule(self.knn.exclude, self.knn.exclude_s, self.knn.per_video)

    @property
    def weights(self) -> tuple[float, float]:
        """(w_V, w_A)."""
        return self.step.w_V, self.step.w_A


def neighbors(samples: DataFrame, search: BlockSearch, *, scope: DataFrame | None, folder: str) -> DataFrame:
    """sample_id, neighbor_ids, distances: the nearest samples of each, by (distance, id).

    samples: sample_id, video_id, time_s and the raw descriptors.  scope: sample_id, component_id: neighbors are
    sought inside the component, with k capped by its size; None: among all.  folder: where the blocks go; the
    caller removes it once the rows are written.
    Raises ParameterError where k is not below the number of samples of an unscoped step, or the rule asks for
    other videos and there is one only.
    """
    if scope is None:
        _check_unscoped(samples, search)
        scoped = samples.withColumn("component_id", F.lit(0).cast("bigint"))
    else:
        scoped = samples.join(scope, "sample_id")
    assigned = _assign_blocks(scoped, block_rows=search.knn.block_rows)

    def pack(rows: pa.Table) -> pa.Table:  # Spark reads these types, which a partial would hide
        return _pack(rows, search=search, folder=folder)

    blocks = assigned.groupBy("scope", "block").applyInArrow(pack, from_arrow_schema(_BLOCK_ROW)).collect()
    spark = samples.sparkSession
    if not blocks:
        return spark.createDataFrame([], from_arrow_schema(_NEIGHBORS))
    tasks = spark.createDataFrame(spark.sparkContext.parallelize(_tasks(blocks), len(blocks)), _TASK)
    return tasks.mapInArrow(_Finder(search, folder), from_arrow_schema(_NEIGHBORS))


def _check_unscoped(samples: DataFrame, search: BlockSearch) -> None:
    counts = samples.agg(F.count("*").alias("samples"), F.count_distinct("video_id").alias("videos")).first()
    assert counts is not None
    search.rule.check(k=search.step.k, samples=counts["samples"], videos=counts["videos"])


def _assign_blocks(scoped: DataFrame, *, block_rows: int) -> DataFrame:
    """Adds scope, block and samples, the size of the sample's component.

    A component larger than a block is a scope of its own, cut into blocks. The others are dealt out to shared
    blocks, each a scope of one block.
    """
    sizes = scoped.groupBy("component_id").agg(F.count("*").alias("samples"))
    small = sizes.where(F.col("samples") <= block_rows).agg(F.sum("samples")).first()
    shared = math.ceil((small[0] if small and small[0] else 0) / block_rows) or 1
    large = F.col("samples") > block_rows
    own_blocks = F.ceil(F.col("samples") / block_rows)
    return scoped.join(sizes, "component_id").select(
        "sample_id",
        "component_id",
        "time_s",
        "visual",
        F.col("audio_mfcc65").alias("audio"),
        F.when(large, F.concat(F.lit("component-"), "component_id"))
        .otherwise(F.concat(F.lit("shared-"), F.pmod(F.xxhash64("component_id"), F.lit(shared))))
        .alias("scope"),
        F.when(large, F.pmod(F.xxhash64("sample_id"), own_blocks)).otherwise(0).cast("bigint").alias("block"),
        "samples",
    )


def _pack(rows: pa.Table, *, search: BlockSearch, folder: str) -> pa.Table:
    """Normalise the descriptors of one block and write it as an Arrow file."""
    rows = rows.sort_by("sample_id")
    packed = pa.table(
        {
            "ids": rows["sample_id"],
            "components": rows["component_id"],
            "sizes": rows["samples"],
            "times_s": rows["time_s"],
            "visual": descriptor_column(normalise_visual(descriptor_rows(rows["visual"]))),
            "audio": descriptor_column(normalise_audio(descriptor_rows(rows["audio"]), search.stats)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, packed.schema) as writer:
        writer.write_table(packed.combine_chunks())
    scope, block = rows["scope"][0].as_py(), rows["block"][0].as_py()
    write_whole(_block_place(folder, scope, block), sink.getvalue())
    samples = rows["samples"][0].as_py()
    return pa.table([[scope], [block], [len(rows)], [samples]], schema=_BLOCK_ROW)


def _tasks(blocks: list[Row]) -> list[Row]:
    """One task for each block of queries, with all it needs to find the blocks it is compared with."""
    found: dict[str, list[int]] = {}
    for row in blocks:
        found.setdefault(row["scope"], []).append(row["block"])
    # The largest first, so that no long task starts last. A hash may leave a block empty: it has no file.
    ordered = sorted(blocks, key=lambda row: (-row["rows"], row["scope"], row["block"]))
    return [Row(scope=row["scope"], block=row["block"], blocks=sorted(found[row["scope"]])) for row in ordered]


def _block_place(folder: str, scope: str, block: int) -> str:
    return f"{folder}/{scope}-{block}.arrow"


@dataclass(frozen=True)
class _PackedBlock:
    """A block as read back, with each sample's component and that component's size."""

    block: Block
    components: Int64Array
    sizes: Int64Array


def _read_block(place: str) -> _PackedBlock:
    with pa.ipc.open_file(read_whole(place)) as reader:
        rows = reader.read_all()
    return _PackedBlock(
        Block(
            ids=rows["ids"].to_numpy(),
            visual=descriptor_rows(rows["visual"]),
            audio=descriptor_rows(rows["audio"]),
            times_s=rows["times_s"].to_numpy(),
        ),
        components=rows["components"].to_numpy(),
        sizes=rows["sizes"].to_numpy(),
    )


class _Finder:
    """Finds the neighbors of the queries of each block it is given."""

    def __init__(self, search: BlockSearch, folder: str) -> None:
        self._search, self._folder = search, folder

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.to_pylist():
                yield _rows(self._find(**task))

    def _find(self, scope: str, block: int, blocks: list[int]) -> NeighborLists:
        search = self._search
        step, weights, rule = search.step, search.weights, search.rule
        queries = _read_block(_block_place(self._folder, scope, block))
        if scope.startswith("shared-"):
            k = np.array([cap_k(step.k, int(size), step.k_share) for size in queries.sizes], dtype=np.int64)
            return nearest_within(queries.block, queries.components, weights=weights, k=k, rule=rule)
        k_here = cap_k(step.k, int(queries.sizes[0]), step.k_share)
        others = (_read_block(_block_place(self._folder, scope, other)).block for other in blocks)
        return nearest(queries.block, others, weights=weights, k=k_here, rule=rule)


def _rows(lists: NeighborLists) -> pa.RecordBatch:
    """Neighbor lists as rows, without the padding."""
    listed = lists.neighbor_ids >= 0
    offsets = pa.array(np.concatenate([[0], listed.sum(axis=1).cumsum()]).astype(np.int32))
    neighbor_ids = pa.ListArray.from_arrays(offsets, pa.array(lists.neighbor_ids[listed]), type=tables.IDS)
    distances = pa.ListArray.from_arrays(offsets, pa.array(lists.distances[listed]), type=tables.DESCRIPTOR)
    return pa.RecordBatch.from_arrays([pa.array(lists.ids), neighbor_ids, distances], schema=_NEIGHBORS)
