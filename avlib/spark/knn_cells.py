"""knn in cells: a sample is compared with the samples of cells near it (see avlib.neighbors.cells).

A random sample of the samples trains the cells; cells near each other form a group, whose members are one block. Exact
lists of a few samples, and of those that they name, tell how many cells have to be probed for the recall of mutual
edges that is wanted. Then a task owns a group: it compares its members with one another, and with the samples of other
groups that probe one of its cells, read from their blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Int32Array, Int64Array
from avlib.blocks import PackedBlock, open_blocks, write_block
from avlib.cell_files import DealtCells, read_cells, write_cells
from avlib.columns import descriptor_column, descriptor_rows
from avlib.neighbors import (
    Block,
    CellSearch,
    NeighborLists,
    ProbeChoice,
    choose_probes,
    deal_cells,
    mutual_edges_at,
    nearest,
    needed_probes,
    train_cells,
)
from avlib.spark.block_search import BlockSearch, with_lost_blocks_remade
from avlib.spark.packing import BLOCK_FILE, BlockFile, Packing
from avlib.spark.partial_lists import PARTIAL, merge, partial

MOST_PROBES = 64
"""Cells of a sample that are looked up; `knn.recall` is to be reached with as many at most."""

_SCOPE = "cells"
_SEED = 0
_DRAWS = 1 << 40
_SAMPLED = 128  # samples whose mutual edges are counted
_MEMBER = "group int, sample_id bigint, time_s double, visual array<float>, audio array<float>, probes array<int>"
_ROUTE = "group int, source bigint, rows binary"


@dataclass(frozen=True)
class CellPlan:
    """cells: how many are aimed at.  groups: of them.  trained: samples to train them on.  samples: in all."""

    cells: int
    groups: int
    trained: int
    samples: int


@dataclass(frozen=True)
class CellLists:
    """lists: as NEIGHBORS, computed when asked for.  choice: how many cells were probed, and the recall to expect.

    remake: packs lost blocks again, by their names.
    """

    lists: DataFrame
    choice: ProbeChoice
    remake: Callable[[Sequence[str]], object]


def lists_in_cells(samples: DataFrame, search: BlockSearch, packing: Packing, plan: CellPlan) -> CellLists:
    """The nearest samples of each, of those it was compared with.

    samples: sample_id, time_s and the raw descriptors.
    """
    spark, folder = samples.sparkSession, packing.folder
    raw = samples.select("sample_id", "time_s", *packing.descriptors())
    queries = _train(raw, packing, plan)
    blocks = _pack(raw, packing)

    def remake(names: Sequence[str]) -> None:
        if all(name.startswith(_SCOPE) for name in names):
            _pack(raw, packing, names)
        else:  # the random samples: the same come again, and the same cells
            _train(raw, packing, plan)

    choice = with_lost_blocks_remade(lambda: _choose(spark, blocks, queries, search, folder), remake)
    return CellLists(_search(spark, blocks, search, folder, choice.probes), choice, remake)


def _train(raw: DataFrame, packing: Packing, plan: CellPlan) -> BlockFile:
    """Train and deal the cells, in one task; returns the block of some random samples."""

    def train(rows: pa.Table) -> pa.Table:
        block = packing.normalised(rows)
        cells = train_cells(block, weights=packing.weights, cells=plan.cells, seed=_SEED)
        members = np.bincount(cells.probes(block, 1)[:, 0], minlength=len(cells))
        write_cells(packing.folder, DealtCells(cells, deal_cells(cells, members=members, groups=plan.groups)))
        chosen = block.take(np.lexsort((block.ids, rows["drawn"].to_numpy()))[:_SAMPLED])
        return _written(packing.folder, "queries", chosen, cells.probes(chosen, MOST_PROBES))

    share = max(plan.trained, 4 * _SAMPLED) / plan.samples
    drawn = raw.withColumn("drawn", F.pmod(F.xxhash64("sample_id", F.lit(_SEED)), F.lit(_DRAWS)))
    some = drawn.where(F.col("drawn") < share * _DRAWS)
    return _files(some.groupBy().applyInArrow(train, from_arrow_schema(BLOCK_FILE)))[0]


def _pack(raw: DataFrame, packing: Packing, only: Sequence[str] | None = None) -> list[BlockFile]:
    """Every group's members as a block; or only the blocks of these names."""

    def assign(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        dealt = _cells(packing.folder)
        for batch in batches:
            if batch.num_rows:
                block = packing.normalised(pa.Table.from_batches([batch]))
                probes = dealt.cells.probes(block, MOST_PROBES)
                yield _members(block, probes, dealt.groups[probes[:, 0]])

    def pack(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("sample_id")
        return _written(packing.folder, f"{_SCOPE}-{rows['group'][0].as_py()}", _block(rows), _probes(rows))

    members = raw.mapInArrow(assign, _MEMBER)
    if only is not None:
        members = members.where(F.col("group").isin([int(name.rpartition("-")[2]) for name in only]))
    return _files(members.groupBy("group").applyInArrow(pack, from_arrow_schema(BLOCK_FILE)))


def _choose(
    spark: SparkSession, blocks: Sequence[BlockFile], queries: BlockFile, search: BlockSearch, folder: str
) -> ProbeChoice:
    """The number of probes, by the exact mutual edges of some samples."""
    tasks = _tasks(spark, blocks)
    lists = [_exact_lists(tasks, queries, search, folder)]
    named = sorted(set(lists[0].neighbor_ids[lists[0].neighbor_ids >= 0].tolist()) - set(lists[0].ids.tolist()))

    def pick(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for file, packed in _read(batches, search, folder):
            rows = np.flatnonzero(np.isin(packed.block.ids, named))
            if len(rows):
                groups = np.full(len(rows), file.block, np.int32)
                yield _members(packed.block.take(rows), packed.probes[rows], groups)

    def pack(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("sample_id")
        return _written(folder, "named", _block(rows), _probes(rows))

    others = _files(tasks.mapInArrow(pick, _MEMBER).groupBy().applyInArrow(pack, from_arrow_schema(BLOCK_FILE)))
    lists += [_exact_lists(tasks, file, search, folder) for file in others]
    with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
        packed = [store.read(file.name, size_bytes=file.size_bytes) for file in [queries, *others]]
    ids = np.concatenate([part.block.ids for part in packed])
    probes = np.concatenate([part.probes for part in packed])[np.argsort(ids)]
    sample, other = mutual_edges_at(packed[0].block.ids, _together(lists))
    at_sample, at_other = (probes[np.searchsorted(np.sort(ids), end)] for end in (sample, other))
    return choose_probes(needed_probes(at_sample, at_other), sample, target=search.knn.recall, most=probes.shape[1])


def _exact_lists(tasks: DataFrame, queries: BlockFile, search: BlockSearch, folder: str) -> NeighborLists:
    """Of a few samples, compared with all."""

    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
            wanted = store.read(queries.name, size_bytes=queries.size_bytes).block
        for _, packed in _read(batches, search, folder):
            lists = nearest(wanted, [packed.block], weights=search.weights, k=search.step.k, rule=search.rule)
            yield partial(queries.name, 0, lists)

    rows = merge(tasks.mapInArrow(find, from_arrow_schema(PARTIAL)), search.rule).collect()
    ids = np.array([row["sample_id"] for row in rows], np.int64)
    neighbor_ids = np.full((len(rows), search.step.k), -1, np.int64)
    distances = np.full((len(rows), search.step.k), np.inf, np.float32)
    for number, row in enumerate(rows):
        neighbor_ids[number, : len(row["neighbor_ids"])] = row["neighbor_ids"]
        distances[number, : len(row["distances"])] = row["distances"]
    return NeighborLists(ids, neighbor_ids, distances)


def _search(
    spark: SparkSession, blocks: Sequence[BlockFile], search: BlockSearch, folder: str, probes: int
) -> DataFrame:
    """Every group's comparisons, and all lists merged."""
    files = {file.block: file for file in blocks}

    def route(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        groups = _cells(folder).groups
        for file, packed in _read(batches, search, folder):
            probed = groups[packed.probes[:, :probes]]
            yield _route(file.block, file.block, np.zeros(0, np.int64))  # its members, though nobody else comes
            for group in np.setdiff1d(probed, [file.block]).tolist():
                yield _route(group, file.block, np.flatnonzero((probed == group).any(axis=1)))

    def compare(routes: pa.Table) -> pa.Table:
        group = routes["group"][0].as_py()
        with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
            own = store.read(files[group].name, size_bytes=files[group].size_bytes)
            cells = CellSearch(
                own.block, own.probes[:, :probes], weights=search.weights, k=search.step.k, rule=search.rule
            )
            cells.compare_members()
            found = []
            for row in routes.sort_by("source").to_pylist():
                if row["source"] == group:
                    continue
                source = files[row["source"]]
                packed = store.read(source.name, size_bytes=source.size_bytes)
                rows = np.frombuffer(row["rows"], np.int64)
                lists = cells.fold(packed.block.take(rows), packed.probes[rows, :probes])
                found.append(partial(_SCOPE, source.block, lists))
            found.append(partial(_SCOPE, group, cells.lists()))
        return pa.Table.from_batches(found)

    routes = _tasks(spark, blocks).mapInArrow(route, _ROUTE).groupBy("group")
    return merge(routes.applyInArrow(compare, from_arrow_schema(PARTIAL)), search.rule)


def _tasks(spark: SparkSession, blocks: Sequence[BlockFile]) -> DataFrame:
    """Blocks as rows, each a task."""
    rows = [tuple(asdict(file).values()) for file in blocks]
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, len(rows)), from_arrow_schema(BLOCK_FILE))


def _read(
    batches: Iterable[pa.RecordBatch], search: BlockSearch, folder: str
) -> Iterator[tuple[BlockFile, PackedBlock]]:
    with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
        for batch in batches:
            for row in batch.to_pylist():
                file = BlockFile(**row)
                yield file, store.read(file.name, size_bytes=file.size_bytes)


def _route(group: int, source: int, rows: Int64Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([group], pa.int32()), pa.array([source], pa.int64()), pa.array([rows.tobytes()])],
        ["group", "source", "rows"],
    )


def _members(block: Block, probes: Int32Array, groups: Int32Array) -> pa.RecordBatch:
    """Rows of _MEMBER."""
    values = pa.array(probes.reshape(-1))
    offsets = pa.array(np.arange(len(block) + 1, dtype=np.int32) * probes.shape[1])
    columns = {
        "group": pa.array(groups),
        "sample_id": pa.array(block.ids),
        "time_s": pa.array(block.times_s),
        "visual": descriptor_column(block.visual),
        "audio": descriptor_column(block.audio),
        "probes": pa.ListArray.from_arrays(offsets, values),
    }
    return pa.RecordBatch.from_pydict(columns)


def _block(rows: pa.Table) -> Block:
    """Rows of _MEMBER, in order of their ids."""
    visual, audio = (descriptor_rows(rows[name]) for name in ("visual", "audio"))
    return Block(rows["sample_id"].to_numpy(), visual, audio, rows["time_s"].to_numpy())


def _probes(rows: pa.Table) -> Int32Array:
    probes: Int32Array = rows["probes"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    return probes


def _written(folder: str, name: str, block: Block, probes: Int32Array) -> pa.Table:
    """Write a block; returns its row of BLOCK_FILE."""
    nobody = np.zeros(len(block), np.int64)
    scope, _, number = name.partition("-")
    size_bytes = write_block(folder, f"{scope}-{number or 0}", PackedBlock(block, nobody, nobody, probes))
    return pa.table([[scope], [int(number or 0)], [len(block)], [len(block)], [size_bytes]], schema=BLOCK_FILE)


def _files(packed: DataFrame) -> list[BlockFile]:
    return [BlockFile(**row.asDict()) for row in packed.collect()]


@lru_cache(maxsize=1)
def _cells(folder: str) -> DealtCells:
    """Read once per Python worker and run: a scratch folder has a name of its own."""
    return read_cells(folder)


def _together(lists: Sequence[NeighborLists]) -> NeighborLists:
    arrays = zip(*((part.ids, part.neighbor_ids, part.distances) for part in lists), strict=True)
    ids, neighbor_ids, distances = map(np.concatenate, arrays)
    return NeighborLists(ids, neighbor_ids, distances)
