"""The medoid of every component, however large: see `avlib.filtering.medoid` for what it is.

Components that fit into a block are dealt out to blocks, each a task's whole work. Larger ones are gone through twice,
piece by piece: for their sums, then for the sample nearest to their mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.arrays import Float32Array, Int64Array
from avlib.columns import descriptor_rows, matrix
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.filtering import descriptor_sum, distance_steps, mean_of
from avlib.filtering import medoids as medoids_in_memory

_MOST_SUMS = 1000
"""A task hands on its sums once it holds this many."""

_SUMS = pa.schema(
    [
        ("component_id", pa.int64()),
        ("samples", pa.int64()),
        ("visual", pa.list_(pa.int64())),
        ("audio", pa.list_(pa.int64())),
    ]
)
_MEANS = pa.schema(
    [
        ("component_id", pa.int64()),
        ("samples", pa.int64()),
        ("visual", tables.DOUBLES),
        ("audio", tables.DOUBLES),
    ]
)
_NEAREST = pa.schema([("component_id", pa.int64()), ("steps_away", pa.int64()), ("sample_id", pa.int64())])
_MEDOIDS = pa.schema([("component_id", pa.int64()), ("medoid_id", pa.int64())])


@dataclass(frozen=True)
class MedoidSearch:
    """What the workers need.  weights: (w_V, w_A) of the step.  block_rows: samples in one task's hands, about."""

    weights: tuple[float, float]
    stats: DescriptorStats
    block_rows: int

    @property
    def columns(self) -> list[str]:
        """The descriptors that are looked at."""
        return [name for name, weight in zip(("visual", "audio"), self.weights, strict=True) if weight]

    def normalised(self, rows: pa.Table | pa.RecordBatch) -> tuple[Float32Array, Float32Array]:
        """Visual and audio descriptors ready for distances; without columns where they are not looked at."""
        visual = audio = np.zeros((rows.num_rows, 0), np.float32)
        if self.weights[0]:
            visual = normalise_visual(descriptor_rows(rows["visual"]))
        if self.weights[1]:
            audio = normalise_audio(descriptor_rows(rows["audio"]), self.stats)
        return visual, audio


def medoids(samples: DataFrame, search: MedoidSearch, *, in_small: int, largest: int) -> DataFrame:
    """component_id, medoid_id.

    samples: sample_id, component_id, size (of the component) and the raw descriptors.  in_small: samples in
    components that fit into a block.  largest: the largest component's size.
    """
    samples = samples.select("component_id", "size", "sample_id", *search.columns)
    small = F.col("size") <= search.block_rows
    blocks = math.ceil(in_small / search.block_rows) or 1
    found = _of_whole(samples.where(small), search, blocks=blocks)
    if largest > search.block_rows:
        found = found.unionByName(_of_cut(samples.where(~small), search))
    return found


def _of_whole(samples: DataFrame, search: MedoidSearch, *, blocks: int) -> DataFrame:
    """Those of components that fit into a block."""

    def find(rows: pa.Table) -> pa.Table:
        visual, audio = search.normalised(rows)
        ids, components = rows["sample_id"].to_numpy(), rows["component_id"].to_numpy()
        found = medoids_in_memory(ids, components, visual=visual, audio=audio, weights=search.weights)
        return pa.table(list(found), schema=_MEDOIDS)

    block = F.pmod(F.xxhash64("component_id"), F.lit(blocks))
    return samples.groupBy(block).applyInArrow(find, from_arrow_schema(_MEDOIDS))


def _of_cut(samples: DataFrame, search: MedoidSearch) -> DataFrame:
    """Those of components that no task should hold."""

    def sum_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sums: dict[int, _Sums] = {}
        for batch in batches:
            _add_batch(sums, batch, search)
            if len(sums) > _MOST_SUMS:
                yield _sum_rows(sums)
                sums = {}
        yield _sum_rows(sums)

    def mean(rows: pa.Table) -> pa.Table:
        count = int(rows["samples"].to_numpy().sum())
        visual, audio = (mean_of(matrix(rows[name]).sum(axis=0), count) for name in ("visual", "audio"))
        return pa.table([rows["component_id"][:1], [count], [visual], [audio]], schema=_MEANS)

    def nearest(rows: pa.Table, means: pa.Table) -> pa.Table:
        if rows.num_rows == 0:  # a hash may leave a piece empty
            return _NEAREST.empty_table()
        visual, audio = matrix(means["visual"])[0], matrix(means["audio"])[0]
        steps_away = distance_steps(search.normalised(rows), (visual, audio), weights=search.weights)
        ids = rows["sample_id"].to_numpy()
        best = np.lexsort((ids, steps_away))[:1]
        return pa.table([rows["component_id"][:1], steps_away[best], ids[best]], schema=_NEAREST)

    sums = samples.mapInArrow(sum_up, from_arrow_schema(_SUMS))
    means = sums.groupBy("component_id").applyInArrow(mean, from_arrow_schema(_MEANS))
    pieces = F.ceil(F.col("samples") / search.block_rows)
    means = means.withColumn("piece", F.explode(F.sequence(F.lit(0).cast("bigint"), pieces - 1)))
    piece = F.pmod(F.xxhash64("sample_id"), F.ceil(F.col("size") / search.block_rows))
    cut, by = samples.withColumn("piece", piece), ("component_id", "piece")
    near = cut.groupBy(*by).cogroup(means.groupBy(*by)).applyInArrow(nearest, from_arrow_schema(_NEAREST))
    nearest_of_all = F.min(F.struct("steps_away", "sample_id"))["sample_id"]
    return near.groupBy("component_id").agg(nearest_of_all.alias("medoid_id"))


@dataclass(frozen=True)
class _Sums:
    """So many samples of a component, and the sums of their descriptors."""

    samples: int
    visual: Int64Array
    audio: Int64Array

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.samples + other.samples, self.visual + other.visual, self.audio + other.audio)


def _add_batch(sums: dict[int, _Sums], batch: pa.RecordBatch, search: MedoidSearch) -> None:
    components = batch["component_id"].to_numpy()
    visual, audio = search.normalised(batch)
    for component in np.unique(components).tolist():
        here = components == component
        part = _Sums(int(here.sum()), descriptor_sum(visual[here]), descriptor_sum(audio[here]))
        sums[component] = sums[component] + part if component in sums else part


def _sum_rows(sums: dict[int, _Sums]) -> pa.RecordBatch:
    parts = sums.values()
    columns = [
        list(sums),
        [part.samples for part in parts],
        [part.visual for part in parts],
        [part.audio for part in parts],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SUMS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SUMS)
