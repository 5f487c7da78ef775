"""knn: samples, components of the step before → neighbors. The k nearest samples by w_V·d_V + w_A·d_A.

Samples are packed into blocks, files that every worker can read. A task owns a super-tile, the pairs of two groups of
blocks, and emits partial lists of both groups; these are merged. Components of the step before that fit share a block,
and never meet. Many samples, all or those of a giant component, are compared in cells instead (see `knn_cells`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.arrays import Int64Array
from avlib.blocks import BlockStore, open_blocks
from avlib.config import Settings, hash_of
from avlib.errors import ConfigError, WarehouseError
from avlib.filtering import capped
from avlib.neighbors import (
    NeighborLists,
    PairSearch,
    Side,
    SuperTile,
    dealt,
    nearest_within,
    side,
    super_tiles,
)
from avlib.planning import TASKS_A_SLOT, CellShape, Layout, cell_groups, choose_method, fitting_rows
from avlib.spark.block_files import BlockFile
from avlib.spark.block_search import BlockSearch, with_lost_blocks_remade
from avlib.spark.descriptor_files import DescriptorFiles
from avlib.spark.knn_cells import CellPlan, lists_in_cells
from avlib.spark.list_limits import Limits
from avlib.spark.packing import OF_COMPONENTS, SHARED, Components, Packing, planned_slots, remembered
from avlib.spark.partial_lists import NEIGHBORS, PARTIAL, kept, merge, partial_row
from avlib.spark.progress import say, watched
from avlib.spark.resources import gpu_profile
from avlib.spark.runs import Step, Work, is_done, recorded
from avlib.spark.samples import audio_samples, files_of_samples, learned_inputs, samples_described_with, without_copies
from avlib.spark.stats import latest_stats
from avlib.spark.steps import agreeing
from avlib.spark.store import TableStore
from avlib.table_log import Note
from avlib.tables import Table

EXACT = "exact"
"""The note of lists that are."""

_MOST_GIANTS = 16  # components that are searched in cells, one after another
_ENTRY_BYTES = 12  # of a list: an int64 id and a float32 distance
_TRAINED = 32  # samples for each cell, where there is memory


def run(store: TableStore, settings: Settings, step: int) -> None:
    """Write the neighbor lists of one step (0 is the first)."""
    samples_described_with(store)
    work = _work(store, settings, step)
    if not is_done(store, work):
        with store.claim_filter(), recorded(store, work) as record:
            record.summary = _run(store, settings, step, work.note(store))


def _work(store: TableStore, settings: Settings, step: int) -> Work:
    """All that decides the neighbor lists of a step."""
    scored, audio = settings.filter.scored, settings.filter.audio
    inputs = [tables.DESCRIPTIONS, tables.SAMPLES, tables.DESCRIPTOR_STATS, *learned_inputs(audio)]
    if step:
        before: list[Table | Step] = [Step(tables.COMPONENTS, step - 1)]
    elif scored:
        before = [tables.SCORES]
    else:
        before = [tables.COPIES] if settings.copies.dropped_by(scored=False) else []
    given = [settings.filter.steps[step], settings.knn, audio]
    return Work("knn", [*inputs, *before], [tables.NEIGHBORS], given, store.name, step)


def _run(store: TableStore, settings: Settings, step: int, note: Note) -> str:
    """Write the lists; returns how they were found."""
    samples = audio_samples(store, settings.filter.audio)
    rule = settings.filter.steps[step]
    if step == 0 and not settings.filter.scored:
        samples = without_copies(store, samples, settings)
    elif step == 0:
        chosen = agreeing(store)
        samples, rule = samples.join(chosen, "sample_id", "left_semi"), capped(rule, chosen.count())
    inside = None
    if step:
        inside = Components.of(store.read(tables.COMPONENTS, step=step - 1), block_rows=settings.knn.block_rows)
    if inside is not None and not len(inside):
        raise WarehouseError(f"step {step}: step {step - 1} has not been run, or left no samples")
    # What later results were made from is about to change.
    for table in tables.BY_STEP:
        store.drop_steps(table, first=step + 1 if table is tables.NEIGHBORS else step)
    search = BlockSearch(rule, settings.knn, latest_stats(store, settings.filter.audio), settings.describe.device)
    with watched(store.spark, f"knn, step {step}"), store.scratch("knn", resumes=note.made_from) as folder:
        files = files_of_samples(store, visual="visual", audio=settings.filter.audio)
        found = find(samples, search, inside=inside, folder=folder, files=files)
        note = replace(note, said=found.note)
        with_lost_blocks_remade(
            lambda: store.write_step(tables.NEIGHBORS, found.lists, step=step, note=note), found.remake
        )
    if found.note != EXACT:
        say(f"  knn, step {step}: {found.note}")
    return found.note


@dataclass(frozen=True)
class Found:
    """lists: as NEIGHBORS, computed when asked for.  note: how they were found.  remake: packs lost blocks again.

    blocks: how the names of the blocks begin that it can pack, where they differ from others'.
    """

    lists: DataFrame
    note: str
    remake: Callable[[Sequence[str]], object]
    blocks: str | tuple[str, ...] = ""


def find(
    samples: DataFrame,
    search: BlockSearch,
    *,
    inside: Components | None,
    folder: str,
    files: DescriptorFiles | None = None,
) -> Found:
    """The neighbor lists of samples, by the method that the settings name.

    samples: sample_id, video_id, time_s and the raw descriptors.  inside: neighbors are sought inside the component,
    with k capped by its size; None: among all.  folder: for blocks, which must stay until the rows are written.
    files: where descriptors lie, of samples that name their files.
    Raises ParameterError where k is not below the number of samples of an unscoped step, or the rule asks for
    other videos and there is one only; ConfigError where a block does not fit the memory that knn.memory_mb gives.
    """
    dimension, found = _dimension(samples, search), list[Found]()
    layout = _layout(samples.sparkSession, search, folder)
    packing = Packing(search.weights, search.stats, dimension, layout, folder, files)
    if inside is None:
        count = check_unscoped(samples, search)
        if _method(samples.sparkSession, search, folder, dimension, count=count) == "cells":
            return _find_in_cells(samples, search, packing, count=count, dimension=dimension)
        check_block_fits(search, dimension=dimension)
        assigned = packing.assign(samples, count=count)
    else:
        check_block_fits(search, dimension=dimension)  # before giants take hours
        for component, size in _giants(samples.sparkSession, inside, search, folder, dimension):
            own = inside.rows.where(F.col("component_id") == component)
            inside = inside.without(component)
            members = samples.join(own, "sample_id", "left_semi")
            within = replace(search, step=search.step.model_copy(update={"k": search.k_of(size)}))
            found.append(_find_in_cells(members, within, packing, count=size, dimension=dimension, component=component))
        assigned = packing.assign_scoped(samples, inside)
    blocks = remembered(folder, "blocks", lambda: packing.pack(assigned))
    lists = neighbors(samples.sparkSession, blocks, search, folder=folder)
    exact = Found(lists, EXACT, lambda names: packing.pack(assigned, names), blocks=OF_COMPONENTS)
    return _together([*found, exact]) if found else exact


def _together(found: Sequence[Found]) -> Found:
    """Lists of different samples, found in several ways."""

    def remake(names: Sequence[str]) -> None:
        for one in found:
            if own := [name for name in names if name.startswith(one.blocks)]:
                one.remake(own)

    lists = reduce(DataFrame.unionByName, [one.lists for one in found])
    return Found(lists, "; ".join(one.note for one in found), remake)


def _giants(
    spark: SparkSession, inside: Components, search: BlockSearch, folder: str, dimension: int
) -> list[tuple[int, int]]:
    """The components, and their sizes, in which cells are what knn.method asks for, or what costs less."""
    if search.knn.method == "exact":
        return []
    largest = sorted(inside.large.items(), key=lambda one: (-one[1], one[0]))[:_MOST_GIANTS]
    return [
        (component, size)
        for component, size in largest
        if _method(spark, search, folder, dimension, count=size, component=component) == "cells"
    ]


def _method(
    spark: SparkSession, search: BlockSearch, folder: str, dimension: int, *, count: int, component: int | None = None
) -> str:
    """What knn.method asks for; of auto, what is reckoned to cost less, for all samples or those of a component."""
    knn = search.knn
    if knn.method != "auto":
        return knn.method
    if not count:
        return EXACT
    layout, shape = _layout(spark, search, folder), CellShape(members=knn.cell_rows)
    choice = choose_method(count, dimension, search.step.k, layout, recall=knn.recall, shape=shape)
    of = "" if component is None else f" in component {component}"
    say(f"  knn.method = auto{of}: {choice.method}, {choice.reason}")
    return choice.method


def _layout(spark: SparkSession, search: BlockSearch, folder: str) -> Layout:
    return Layout(search.knn.block_rows, planned_slots(spark, folder), search.knn.memory_mb << 20)


def _find_in_cells(
    samples: DataFrame,
    search: BlockSearch,
    packing: Packing,
    *,
    count: int,
    dimension: int,
    component: int | None = None,
) -> Found:
    """Of all samples, or those of a component.  dimension: numbers of a sample that count."""
    layout = _layout(samples.sparkSession, search, packing.folder)
    cells, groups = cell_groups(count, dimension, search.step.k, layout, members=search.knn.cell_rows)
    trained = min(_TRAINED * cells, fitting_rows(dimension, search.step.k, task_bytes=layout.task_bytes))
    scope, of = ("cells", "") if component is None else (f"cells-{component}", f"component {component}: ")
    plan = CellPlan(cells, groups, trained, samples=count, scope=scope)
    own = replace(packing, folder=f"{packing.folder}/{hash_of(asdict(plan))}")
    found = lists_in_cells(samples, search, own, plan)
    w_visual, w_audio = found.weights
    choice = found.choice
    note = (
        f"{of}{cells} cells by w_V = {w_visual:g}, w_A = {w_audio:g}, of which a sample probes those up to "
        f"{choice.reach:.3f} times as far as its own, {found.probes:.1f} on average: "
        f"{choice.recall:.3f} ± {choice.standard_error:.3f} of the mutual edges"
    )
    return Found(found.lists, note, found.remake, blocks=f"{scope}-")


def check_unscoped(samples: DataFrame, search: BlockSearch) -> int:
    """How many samples there are. Raises ParameterError where k, or the rule, asks for more or for other videos."""
    counts = samples.agg(F.count("*").alias("samples"), F.min("video_id") == F.max("video_id")).first()
    assert counts is not None
    search.rule.check(k=search.step.k, samples=counts[0], videos=1 if counts[1] else 2)
    return int(counts[0])


def check_block_fits(search: BlockSearch, *, dimension: int) -> None:
    """Raise ConfigError unless packing a block of knn.block_rows, and its lists, fit into knn.memory_mb."""
    fitting = fitting_rows(dimension, search.step.k, task_bytes=search.knn.memory_mb << 20)
    if search.knn.block_rows > fitting:
        raise ConfigError(
            f"knn.block_rows = {search.knn.block_rows}: a block of {dimension}-d samples takes more to pack than "
            f"knn.memory_mb = {search.knn.memory_mb}; {fitting} rows fit"
        )


def _dimension(samples: DataFrame, search: BlockSearch) -> int:
    """Numbers of a sample that count in this step; 0 where there is no sample."""
    first = samples.select(F.size("visual"), F.size("audio")).first()
    return sum(size for size, weight in zip(first or (), search.weights, strict=False) if weight)


def neighbors(spark: SparkSession, blocks: Sequence[BlockFile], search: BlockSearch, *, folder: str) -> DataFrame:
    """sample_id, neighbor_ids, distances: the nearest samples of each, by (distance, id).

    blocks: all that were packed into this folder, which must stay until the rows are written. Computed when asked for.
    """
    if not blocks:
        return spark.createDataFrame([], from_arrow_schema(NEIGHBORS))
    files = {(file.scope, file.block): file for file in blocks}
    rows: dict[str, dict[int, int]] = {}
    for file in blocks:
        rows.setdefault(file.scope, {})[file.block] = file.rows
    slots = planned_slots(spark, folder)
    # Lists of two groups, and as much again while they are handed on.
    group_rows = (search.knn.memory_mb << 20) // (4 * search.step.k * _ENTRY_BYTES)
    tiles = super_tiles(rows, tasks=TASKS_A_SLOT * slots, group_rows=group_rows)
    hands = dealt(tiles, tasks=max(len(tiles) // 64, TASKS_A_SLOT * slots))
    tasks = [(json.dumps([_task(tile, files) for tile in hand]),) for hand in hands]
    # Of shared blocks each component is compared by itself, too few pairs for a GPU.
    profile = None if all(scope.startswith(SHARED) for scope in rows) else gpu_profile(spark, search.device)
    partials = spark.createDataFrame(spark.sparkContext.parallelize(tasks, len(tasks)), "tiles string").mapInArrow(
        _Finder(search, folder), from_arrow_schema(PARTIAL), profile=profile
    )
    return merge(partials, search.rule)


def _task(tile: SuperTile, files: dict[tuple[str, int], BlockFile]) -> list[list[dict[str, object]]]:
    """A tile as its blocks' files: left, and right unless that is the same."""
    groups = [tile.left] if tile.left == tile.right else [tile.left, tile.right]
    return [[asdict(files[tile.scope, block]) for block in group] for group in groups]


class _Finder:
    """Finds the neighbors in each super-tile it is given: rows of tiles in, PARTIAL out."""

    def __init__(self, search: BlockSearch, folder: str) -> None:
        self._search, self._folder = search, folder
        self._made_with = hash_of([section.model_dump(mode="json") for section in (search.step, search.knn)])

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with open_blocks(self._folder, cache_bytes=self._search.knn.cache_bytes) as blocks:
            for batch in batches:
                for hand in batch["tiles"].to_pylist():
                    for tile in json.loads(hand):
                        groups = [[BlockFile(**file) for file in group] for group in tile]
                        name = f"tile-{hash_of([self._made_with, tile])}"
                        yield from kept(self._folder, name, partial(self._find, blocks, groups))

    def _find(self, blocks: BlockStore, groups: list[list[BlockFile]]) -> Iterator[pa.RecordBatch]:
        search, left, right = self._search, groups[0], groups[-1]
        if left[0].scope.startswith(SHARED):
            yield self._within(blocks, left[0])
            return
        pairs = PairSearch(weights=search.weights, k=search.k_of(left[0].samples), rule=search.rule, fold=search.fold())
        limits = Limits(self._folder, self._made_with)
        alone = len(groups) == 1 and sum(file.rows for file in left) == left[0].samples
        ids: dict[BlockFile, Int64Array] = {}

        def ready(file: BlockFile) -> Side:
            one = side(blocks.read(file.name, size_bytes=file.size_bytes).block)
            if file not in ids and not alone:
                pairs.limit(one, limits.read(file))
            ids[file] = one.ids
            return one

        for number, one in enumerate(left):
            query = ready(one)
            for other in right[number:] if len(groups) == 1 else right:
                pairs.fold(query, query if other is one else ready(other))
        lists = pairs.lists()
        for file, own in ids.items():
            at = np.searchsorted(lists.ids, own)
            if not alone:
                limits.lower(file, lists.distances[at, -1])
            yield partial_row(file.scope, file.block, NeighborLists(own, lists.neighbor_ids[at], lists.distances[at]))

    def _within(self, blocks: BlockStore, file: BlockFile) -> pa.RecordBatch:
        search, packed = self._search, blocks.read(file.name, size_bytes=file.size_bytes)
        _, component, sizes = np.unique(packed.components, return_inverse=True, return_counts=True)
        k = np.array([search.k_of(int(size)) for size in sizes], dtype=np.int64)[component]
        lists = nearest_within(packed.block, packed.components, weights=search.weights, k=k, rule=search.rule)
        return partial_row(file.scope, file.block, lists)
