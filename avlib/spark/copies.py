"""copies: samples → copies. Which samples are copies of another video's; see avlib.copies.

Samples are made short and thinned out; each names its nearest samples of other videos. Videos that have samples nearly
the same are compared in pairs, each in one task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from avlib import tables
from avlib.arrays import Int64Array
from avlib.columns import descriptor_column, descriptor_rows
from avlib.config import CopySettings, Settings, StepSettings
from avlib.copies import (
    COMPARED,
    LEAST_ALIKE,
    MOST_ORIGINALS,
    Grid,
    Sketch,
    compared,
    originals_of,
    random_pair_medians,
    search_weights,
)
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.identity import MAX_FRAMES, VIDEO_ID_SHIFT, video_ids
from avlib.neighbors import Block
from avlib.spark import knn
from avlib.spark.block_search import across_videos, sound_dimension, with_lost_blocks_remade
from avlib.spark.descriptor_files import DescriptorFiles
from avlib.spark.progress import say, watched
from avlib.spark.runs import Work, is_done, recorded
from avlib.spark.samples import audio_samples, files_of_samples, with_video_id
from avlib.spark.stats import latest_stats
from avlib.spark.store import TableStore, spark_schema
from avlib.spark.views import VIEWS, drawn
from avlib.spark.written import written

_AUDIO = "audio_context"  # of a second or two: of a moment, it would change with where frames happen to lie
_WHOLE = 0.9  # of a video's samples that are copies; what is loud differs a little
_PAIR = ("video", "original")


def run(store: TableStore, settings: Settings) -> None:
    """Write which samples are copies; none where the strategy does not leave them out."""
    if not settings.copies.dropped_by(scored=settings.filter.scored):
        store.clear(tables.COPIES)
        return
    inputs = [tables.DESCRIPTIONS, tables.SAMPLES, tables.DESCRIPTOR_STATS]
    work = Work("copies", inputs, [tables.COPIES], [settings.copies, settings.knn], store.name)
    samples = audio_samples(store, _AUDIO)
    if not is_done(store, work):
        with store.claim_filter(), recorded(store, work) as record:
            note = work.note(store)
            with watched(store.spark, "copies"), store.scratch("copies", resumes=note.made_from) as folder:
                store.overwrite(tables.COPIES, _found(store, samples, settings, folder), note=note)
            record.summary = f"{store.read(tables.COPIES).count()} samples are copies"
    _tell(samples, store.read(tables.COPIES))


def _found(store: TableStore, samples: DataFrame, settings: Settings, folder: str) -> DataFrame:
    """Rows of COPIES."""
    wanted, nothing = settings.copies, store.spark.createDataFrame([], spark_schema(tables.COPIES))
    known = drawn(samples.select("sample_id", "time_s"), COMPARED, seed=wanted.seed).toArrow()
    grid = Grid.of(*(known[name].to_numpy() for name in ("sample_id", "time_s")))
    stats = latest_stats(store, _AUDIO)
    step = grid.every(samples_hz=wanted.samples_hz)
    files = files_of_samples(store, visual="visual", audio=_AUDIO)
    sketches = written(_sketches(_every(samples, step), files, stats, wanted), f"{folder}/sketches")
    known = drawn(sketches, COMPARED, seed=wanted.seed).toArrow()
    visual, audio = (descriptor_rows(known[name]) for name in ("visual", "audio"))
    weights = search_weights(random_pair_medians(video_ids(known["sample_id"].to_numpy()), visual, audio))
    listed = _every(sketches, grid.listed(step=step))
    counts = with_video_id(listed).agg(F.count("*"), F.count_distinct("video_id")).first()
    assert counts is not None
    if weights is None or counts[1] < 2:
        return nothing
    search = StepSettings(w_V=weights[0], w_A=weights[1], k=min(wanted.neighbors, counts[0] - 1), min_size=1)
    pairs = _pairs(listed, search, settings, folder)
    if pairs.isEmpty():
        return nothing

    def compare(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("sample_id")
        first = pc.index(rows["video_id"], rows["video"][0]).as_py()  # an original's ids are smaller
        original_ids, original = _samples_of(rows[:first])
        ids, video = _samples_of(rows[first:])
        stretches = compared(video, original, weights=weights, rate_hz=grid.rate_hz, settings=wanted)
        found = [originals_of(ids, stretch, original_ids) for stretch in stretches]
        columns = zip(*found, strict=True) if found else ((), ())
        arrays = [np.concatenate([np.empty(0, np.int64), *column]) for column in columns]
        return pa.table(arrays, schema=tables.COPIES.schema)

    ends = pairs.withColumn("video_id", F.explode(F.array(*_PAIR)))
    rows = samples.select("sample_id", "video_id").join(ends, "video_id").join(sketches, "sample_id", "left")
    copies = rows.groupBy(*_PAIR).applyInArrow(compare, spark_schema(tables.COPIES))
    return copies.groupBy("sample_id").agg(F.min("copy_of").alias("copy_of"))


def _every(samples: DataFrame, frames: int) -> DataFrame:
    """The samples of every so many frames."""
    return samples.where(F.pmod(F.pmod("sample_id", F.lit(MAX_FRAMES)), F.lit(frames)) == 0)


def _sketches(samples: DataFrame, files: DescriptorFiles, stats: DescriptorStats, settings: CopySettings) -> DataFrame:
    """VIEWS of samples, as `audio_samples` gives them, sketched."""
    sketch = Sketch(settings.seed)

    def shorten(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            visual = sketch(normalise_visual(descriptor_rows(batch["visual"])))
            audio = sketch(normalise_audio(descriptor_rows(batch["audio"]), stats))
            columns = [batch["sample_id"], batch["time_s"], descriptor_column(visual), descriptor_column(audio)]
            yield pa.RecordBatch.from_arrays(columns, schema=VIEWS)

    return files.map_in_arrow(samples, VIEWS.names, shorten, VIEWS)


def _pairs(sketches: DataFrame, step: StepSettings, settings: Settings, folder: str) -> DataFrame:
    """video, original: an earlier one; videos that have samples so much like each other that they are to be compared.

    As in avlib.copies.in_memory.
    """
    wanted = settings.copies
    search = across_videos(step, settings, dimension=sound_dimension(sketches))
    found = knn.find(with_video_id(sketches), search, inside=None, folder=f"{folder}/blocks")
    near = F.expr(f"slice(neighbor_ids, 1, size(filter(distances, d -> d <= float({wanted.nearness}))))")
    ends = [F.shiftright(column, VIDEO_ID_SHIFT) for column in ("sample_id", "other_id")]
    counts = (
        found.lists.select("sample_id", F.explode(near).alias("other_id"))
        .groupBy(F.greatest(*ends).alias("video"), F.least(*ends).alias("original"))
        .agg(F.count("*").alias("samples"))
    )
    of_video = Window.partitionBy("video")
    place = F.row_number().over(of_video.orderBy(F.desc("samples"), "original"))
    many = (F.col("samples") >= LEAST_ALIKE) & (place <= MOST_ORIGINALS)
    earliest = F.col("original") == F.min("original").over(of_video)
    alike = counts.select(
        *_PAIR, (many | earliest).alias("chosen"), F.sum("samples").over(of_video).alias("of_video")
    ).where(f"chosen AND of_video >= {LEAST_ALIKE}")
    pairs = with_lost_blocks_remade(lambda: written(alike.select(*_PAIR), f"{folder}/pairs"), found.remake)
    if found.note != knn.EXACT:
        say(f"  copies: {found.note}")
    return pairs


def _samples_of(rows: pa.Table) -> tuple[Int64Array, Block]:
    """The ids of all samples of a video, and those of its samples that are compared. rows: ascending by sample_id."""
    some = rows.filter(pc.is_valid(rows["visual"]))
    visual, audio = (descriptor_rows(some[name]) for name in ("visual", "audio"))
    return rows["sample_id"].to_numpy(), Block(some["sample_id"].to_numpy(), visual, audio, some["time_s"].to_numpy())


def _tell(samples: DataFrame, copies: DataFrame) -> None:
    """Say how many videos are copies of others, in whole or in part."""
    of_videos = (
        samples.select("sample_id", "video_id")
        .join(copies.select("sample_id", F.lit(1).alias("copy")), "sample_id", "left")
        .groupBy("video_id")
        .agg(F.count("copy").alias("copies"), F.count("*").alias("samples"))
    )
    whole = F.col("copies") >= _WHOLE * F.col("samples")
    part = (F.col("copies") > 0) & ~whole
    totals = of_videos.agg(F.count_if(whole), F.count_if(part), F.sum("copies"), F.sum("samples")).first()
    assert totals is not None
    if totals[2]:
        say(
            f"  copies: {totals[0]} videos are copies of others in whole, {totals[1]} in part: {totals[2]} of "
            f"{totals[3]} samples are left out"
        )
