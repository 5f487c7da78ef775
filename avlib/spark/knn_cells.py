"""knn in cells: a sample is compared with the samples of cells near it (see avlib.neighbors.cells).

A random sample of the samples tells which weights suit cells, and trains them; cells near each other form a group,
whose members are one block. Exact lists of a few others, and of some that they name, tell how far cells have to be
probed for the recall of mutual edges that is wanted. Then a task owns a group: it compares its members with one
another, and after that with the samples of other groups that probe one of its cells, read from their blocks, which
bring the lists they have by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Int32Array, Int64Array
from avlib.blocks import PackedBlock, open_blocks
from avlib.cell_files import DealtCells, read_cells, stored_cells, write_cells
from avlib.neighbors import (
    MOST_PROBES,
    Block,
    CellSearch,
    NeighborLists,
    Probes,
    ReachChoice,
    choose_reach,
    choose_space,
    deal_cells,
    in_turns,
    joined,
    mutual,
    named_pairs,
    nearest,
    needed_reach,
    train_cells,
)
from avlib.planning import CellShape
from avlib.spark.block_files import (
    BLOCK_FILE,
    PIECE,
    BlockFile,
    BlockFiles,
    BlockKey,
    files_of,
    of_pieces,
    pieces,
    write_file,
)
from avlib.spark.block_search import BlockSearch, with_lost_blocks_remade
from avlib.spark.packing import Packing, kept_values, remembered
from avlib.spark.partial_lists import PARTIAL, kept, merge, partial_row
from avlib.spark.resources import slots

_SEED = 0
_DRAWS = 1 << 40
# Samples whose mutual edges are counted, and of how many neighbors of each; of few, more.
_SAMPLED, _ASKED = CellShape.recall_rows, CellShape.recall_neighbors
_ROW_BYTES = 8  # of the number of a row, in a route
_ROUTE = "group int, source bigint, rows binary, probes binary, neighbor_ids binary, distances binary"


@dataclass(frozen=True)
class CellPlan:
    """cells: how many are aimed at.  groups: of them.  trained: samples to train them on.  samples: in all.

    scope: what the groups' blocks are called; a word, and the component where the samples are those of one.
    held_out: samples by which the recall is told, and on which no cells are trained.
    """

    cells: int
    groups: int
    trained: int
    samples: int
    scope: str = "cells"
    held_out: int = _SAMPLED


@dataclass(frozen=True)
class CellLists:
    """lists: as NEIGHBORS, computed when asked for.  choice: how far cells are probed, and the recall to expect.

    weights: (w_V, w_A) that the cells were made with.
    probes: how many cells of a sample that is on average, of some random samples.
    remake: packs lost blocks again, by their names.
    """

    lists: DataFrame
    weights: tuple[float, float]
    choice: ReachChoice
    probes: float
    remake: Callable[[Sequence[str]], object]


def lists_in_cells(samples: DataFrame, search: BlockSearch, packing: Packing, plan: CellPlan) -> CellLists:
    """The nearest samples of each, of those it was compared with.

    samples: sample_id, time_s and the raw descriptors.
    """
    spark, folder = samples.sparkSession, packing.folder
    queries = remembered(folder, "trained", lambda: [_train(samples, search, packing, plan)])[0]
    if stored_cells(folder) is None:  # lost since: the same come again
        _train(samples, search, packing, plan)
    blocks = remembered(folder, "packed", lambda: _pack(samples, packing, plan))

    def remake(names: Sequence[str]) -> None:
        if all(name.startswith(plan.scope) for name in names):
            _pack(samples, packing, plan, names)
        else:  # the random samples: the same come again, and the cells stay
            _train(samples, search, packing, plan)

    def choose() -> list[Any]:
        choice, probes = _choose(spark, blocks, queries, search, folder)
        return [asdict(choice), probes]

    chosen, probes = with_lost_blocks_remade(lambda: kept_values(f"{folder}/choice.json", choose), remake)
    weights, choice = read_cells(folder).cells.weights, ReachChoice(**chosen)
    return CellLists(_search(spark, blocks, search, folder, choice.reach), weights, choice, probes, remake)


def _train(samples: DataFrame, search: BlockSearch, packing: Packing, plan: CellPlan) -> BlockFile:
    """Train and deal the cells, unless they are there, in one task; returns the block of some random samples."""

    def cut(_: pa.RecordBatch, block: Block) -> pa.RecordBatch:
        return pieces(PackedBlock.of_one_component(block), np.zeros(len(block), np.int32))

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ((_, packed),) = of_pieces(batches)
        order = np.argsort(packed.block.ids)  # in whatever order tasks were done
        # Held out: samples that cells were trained on lie nearer to their centres than others do.
        held_out = np.random.default_rng(_SEED).permutation(len(order)) < min(plan.held_out, -(-len(order) // 4))
        queries, block = packed.block.take(order[held_out]), packed.block.take(order[~held_out])
        del packed
        if stored_cells(packing.folder) is None:  # else blocks may have been packed by them
            write_cells(packing.folder, _trained(block, search, plan))
        yield write_file(packing.folder, BlockKey("queries", 0), PackedBlock.of_one_component(queries))

    share = (plan.trained + plan.held_out) / plan.samples
    some = samples.where(F.pmod(F.xxhash64("sample_id", F.lit(_SEED)), F.lit(_DRAWS)) < share * _DRAWS)
    drawn = packing.in_pieces(some, cut).repartition(1)
    return files_of(drawn.mapInArrow(train, from_arrow_schema(BLOCK_FILE)))[0]


def _trained(sample: Block, search: BlockSearch, plan: CellPlan) -> DealtCells:
    """Cells by weights that suit them, dealt into groups."""
    weights = choose_space(
        sample,
        samples=max(plan.samples, len(sample)),
        weights=search.weights,
        k=search.step.k,
        rule=search.rule,
        recall=search.knn.recall,
        seed=_SEED,
    )
    cells = train_cells(sample, weights=weights, cells=plan.cells, seed=_SEED)
    members = np.bincount(cells.probes(sample, 1)[:, 0], minlength=len(cells))
    return DealtCells(cells, deal_cells(cells, members=members, groups=plan.groups))


def _pack(samples: DataFrame, packing: Packing, plan: CellPlan, only: Sequence[str] | None = None) -> list[BlockFile]:
    """Every group's members as a block; or only the blocks of these names."""

    def cut(_: pa.RecordBatch, block: Block) -> pa.RecordBatch:
        dealt = _cells(packing.folder)
        return pieces(PackedBlock.of_one_component(block), dealt.groups[dealt.cells.probes(block, 1)[:, 0]])

    blocks = BlockFiles(packing.folder, plan.groups, partial(BlockKey, plan.scope), only)
    return blocks.write_all(packing.in_pieces(samples, cut))


def _choose(
    spark: SparkSession, blocks: Sequence[BlockFile], queries: BlockFile, search: BlockSearch, folder: str
) -> tuple[ReachChoice, float]:
    """How far to probe, by the exact mutual edges of some samples, and how many cells of theirs that is on average."""
    lists = [_exact_lists(spark, blocks, queries, search, folder)]
    pairs = named_pairs(lists[0], most=_ASKED * _SAMPLED // len(lists[0]), seed=_SEED)
    named = np.setdiff1d(pairs[1], lists[0].ids)

    def pick(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, packed in _read(batches, search, folder):
            rows = np.flatnonzero(np.isin(packed.block.ids, named))
            if len(rows):
                yield pieces(packed.take(rows), np.zeros(len(rows), np.int32))

    picked = _tasks(spark, blocks, slots(spark)).mapInArrow(pick, from_arrow_schema(PIECE))
    others = BlockFiles(folder, 1, partial(BlockKey, "named")).write_all(picked)
    lists += [_exact_lists(spark, blocks, file, search, folder) for file in others]
    cells = read_cells(folder).cells
    with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
        found = [store.read(file.name, size_bytes=file.size_bytes).block for file in [queries, *others]]
        cells_of = [cells.probes(block, MOST_PROBES) for block in found]
        reaches = [cells.reaches(block, near) for block, near in zip(found, cells_of, strict=True)]
    ids = np.concatenate([block.ids for block in found])
    probes = Probes(np.concatenate(cells_of), np.concatenate(reaches)).take(np.argsort(ids))
    sample, other = mutual(pairs, _together(lists))
    at_sample, at_other = (probes.take(np.searchsorted(np.sort(ids), end)) for end in (sample, other))
    choice = choose_reach(needed_reach(at_sample, at_other), sample, target=search.knn.recall)
    return choice, float((reaches[0] <= choice.reach).sum(axis=1).mean())


def _exact_lists(
    spark: SparkSession, blocks: Sequence[BlockFile], queries: BlockFile, search: BlockSearch, folder: str
) -> NeighborLists:
    """Of a few samples, compared with all."""

    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
            wanted = store.read(queries.name, size_bytes=queries.size_bytes).block
        read = (packed.block for _, packed in _read(batches, search, folder))
        lists = nearest(wanted, read, weights=search.weights, k=search.step.k, rule=search.rule)
        yield partial_row(queries.name, 0, lists)

    tasks = _tasks(spark, blocks, slots(spark))  # a task for each: lists that begin anew take longer
    rows = merge(tasks.mapInArrow(find, from_arrow_schema(PARTIAL)), search.rule).collect()
    ids = np.array([row["sample_id"] for row in rows], np.int64)
    neighbor_ids = np.full((len(rows), search.step.k), -1, np.int64)
    distances = np.full((len(rows), search.step.k), np.inf, np.float32)
    for number, row in enumerate(rows):
        neighbor_ids[number, : len(row["neighbor_ids"])] = row["neighbor_ids"]
        distances[number, : len(row["distances"])] = row["distances"]
    return NeighborLists(ids, neighbor_ids, distances)


def _search(
    spark: SparkSession, blocks: Sequence[BlockFile], search: BlockSearch, folder: str, reach: float
) -> DataFrame:
    """Every group's comparisons, and all lists merged."""
    files = {file.block: file for file in blocks}

    def route(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        dealt = _cells(folder)
        for file, packed in _read(batches, search, folder):
            yield from kept(folder, f"routes-{file.block}-{reach!r}", partial(routed, dealt, file, packed.block))

    def routed(dealt: DealtCells, file: BlockFile, block: Block) -> Iterator[pa.RecordBatch]:
        probes = dealt.cells.probes_within(block, reach, MOST_PROBES)
        cells = _cell_search(block, probes, search)
        cells.compare_members()
        lists = cells.lists()
        probed = np.where(probes >= 0, dealt.groups[probes], -1)
        for group in np.intersect1d(probed, list(files)).tolist():  # those that have members
            rows = np.flatnonzero((probed == group).any(axis=1))
            yield _route(group, file.block, rows, probes[rows], lists.take(rows))

    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        routes = [row for batch in batches for row in batch.to_pylist()]
        if routes:
            yield from kept(folder, f"lists-{routes[0]['group']}-{reach!r}", partial(compared, routes))

    def compared(routes: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
        (group,) = {row["group"] for row in routes}
        given = {row["source"]: row for row in routes}
        with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:

            def probing(source: int) -> _Probing:
                file = files[source]
                return _Probing.of(given[source], store.read(file.name, size_bytes=file.size_bytes).block)

            members = probing(group)  # all of them: each probes its own cell
            cells = _cell_search(members.block, members.probes, search)
            cells.begin_with(members.lists)
            sizes = {source: len(row["rows"]) // _ROW_BYTES for source, row in given.items() if source != group}
            # Of the members, and of whoever probes them, two copies are held; of several sources three, for a moment.
            for turn in in_turns(sizes, rows=len(members.block) // 2):
                others = _Probing.joined([probing(source) for source in turn])
                found = cells.fold(others.block, others.probes, others.lists)
                starts = np.cumsum([0, *(sizes[source] for source in turn)])
                for source, start, stop in zip(turn, starts[:-1], starts[1:], strict=True):
                    yield partial_row(files[source].scope, source, found.take(np.arange(start, stop)))
            yield partial_row(files[group].scope, group, cells.lists())

    routes = _tasks(spark, blocks, len(blocks)).mapInArrow(route, _ROUTE).repartitionById(max(files) + 1, "group")
    return merge(routes.mapInArrow(compare, from_arrow_schema(PARTIAL)), search.rule)


@dataclass(frozen=True, eq=False)
class _Probing:
    """The samples of a block that probe a group, what they probe, and their lists."""

    block: Block
    probes: Int32Array
    lists: NeighborLists

    @classmethod
    def of(cls, route: dict[str, Any], block: Block) -> _Probing:
        """A row of _ROUTE, and the block it is about."""
        rows = np.frombuffer(route["rows"], np.int64)
        probes = np.frombuffer(route["probes"], np.int32).reshape(len(rows), -1)
        neighbor_ids = np.frombuffer(route["neighbor_ids"], np.int64).reshape(len(rows), -1)
        distances = np.frombuffer(route["distances"], np.float32).reshape(len(rows), -1)
        return cls(block.take(rows), probes, NeighborLists(block.ids[rows], neighbor_ids, distances))

    @classmethod
    def joined(cls, parts: Sequence[_Probing]) -> _Probing:
        """All samples of some blocks, in their order. Those of fewer probes end with -1."""
        width = max(part.probes.shape[1] for part in parts)
        missing = [((0, 0), (0, width - part.probes.shape[1])) for part in parts]
        probes = [np.pad(part.probes, pad, constant_values=-1) for part, pad in zip(parts, missing, strict=True)]
        return cls(joined([part.block for part in parts]), np.vstack(probes), _together([part.lists for part in parts]))


def _tasks(spark: SparkSession, blocks: Sequence[BlockFile], tasks: int) -> DataFrame:
    """Blocks as rows, dealt to so many tasks."""
    rows = [tuple(asdict(file).values()) for file in blocks]
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, tasks), from_arrow_schema(BLOCK_FILE))


def _read(
    batches: Iterable[pa.RecordBatch], search: BlockSearch, folder: str
) -> Iterator[tuple[BlockFile, PackedBlock]]:
    with open_blocks(folder, cache_bytes=search.knn.cache_bytes) as store:
        for batch in batches:
            for row in batch.to_pylist():
                file = BlockFile(**row)
                yield file, store.read(file.name, size_bytes=file.size_bytes)


def _cell_search(members: Block, probes: Int32Array, search: BlockSearch) -> CellSearch:
    return CellSearch(members, probes, weights=search.weights, k=search.step.k, rule=search.rule)


def _route(group: int, source: int, rows: Int64Array, probes: Int32Array, lists: NeighborLists) -> pa.RecordBatch:
    """Rows of a block that probe a group, with all that they probe, and their lists of members of their own group."""
    arrays = [pa.array([array.tobytes()]) for array in (rows, probes, lists.neighbor_ids, lists.distances)]
    return pa.RecordBatch.from_arrays(
        [pa.array([group], pa.int32()), pa.array([source], pa.int64()), *arrays],
        ["group", "source", "rows", "probes", "neighbor_ids", "distances"],
    )


@lru_cache(maxsize=1)
def _cells(folder: str) -> DealtCells:
    """Read once per Python worker and run: a scratch folder has a name of its own."""
    return read_cells(folder)


def _together(lists: Sequence[NeighborLists]) -> NeighborLists:
    arrays = zip(*((part.ids, part.neighbor_ids, part.distances) for part in lists), strict=True)
    ids, neighbor_ids, distances = map(np.concatenate, arrays)
    return NeighborLists(ids, neighbor_ids, distances)
