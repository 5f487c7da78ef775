"""The companions of samples: the nearest samples of other videos, by picture (SEEN) and by sound (HEARD)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib.agreement import NOBODY, Companions, Views, Weights, weight
from avlib.arrays import Float64Array, Int64Array
from avlib.columns import descriptor_rows
from avlib.config import Settings, StepSettings
from avlib.spark import knn
from avlib.spark.block_search import across_videos, sound_dimension, with_lost_blocks_remade
from avlib.spark.progress import say
from avlib.spark.samples import with_video_id
from avlib.spark.written import written
from avlib.storage import for_spark

SEEN, HEARD = 0, 1

_WEIGHTS = {SEEN: (1.0, 0.0), HEARD: (0.0, 1.0)}
_JUDGED_BY = {SEEN: "audio", HEARD: "visual"}


def companion_lists(views: DataFrame, settings: Settings, *, count: int, folder: str) -> DataFrame:
    """sample_id, kind, place, neighbor_id: of each other video the nearest sample, and of these the `count` nearest.

    views: as `short_views` gives them.  folder: for blocks and lists.
    """
    samples, dimension = with_video_id(views), sound_dimension(views)
    for kind, (w_visual, w_audio) in _WEIGHTS.items():
        step = StepSettings(w_V=w_visual, w_A=w_audio, k=count, min_size=1)
        search = across_videos(step, settings, dimension=dimension)
        found = knn.find(samples, search, inside=None, folder=f"{folder}/blocks-{kind}")
        neighbors = F.posexplode("neighbor_ids").alias("place", "neighbor_id")
        rows = found.lists.select("sample_id", F.lit(kind).alias("kind"), neighbors)
        with_lost_blocks_remade(partial(written, rows, f"{folder}/lists/of={kind}"), found.remake)
        if found.note != knn.EXACT:
            say(f"  agreement: {found.note}")
    schema = "sample_id bigint, kind int, place int, neighbor_id bigint"
    return views.sparkSession.read.schema(schema).parquet(
        *(for_spark(f"{folder}/lists/of={kind}") for kind in _WEIGHTS)
    )


def with_descriptors(lists: DataFrame, views: DataFrame) -> DataFrame:
    """The lists with what companions are judged by: the sound of those that look alike, the picture of the others."""
    theirs = [
        lists.where(F.col("kind") == kind).join(
            views.select(F.col("sample_id").alias("neighbor_id"), F.col(column).alias("descriptor")), "neighbor_id"
        )
        for kind, column in _JUDGED_BY.items()
    ]
    return theirs[0].unionByName(theirs[1])


def with_scores(lists: DataFrame, first: DataFrame) -> DataFrame:
    """The lists with the first scores of the companions, as `theirs`. first: sample_id, score."""
    scores = first.select(F.col("sample_id").alias("neighbor_id"), F.col("score").alias("theirs"))
    return lists.join(scores, "neighbor_id")


def companions_of(samples: Views, rows: pa.Table, *, count: int) -> Companions:
    """Rows of `with_descriptors` as arrays, for these samples."""
    arrays: list[np.ndarray] = []
    for kind, dimension in ((SEEN, samples.audio.shape[1]), (HEARD, samples.visual.shape[1])):
        place, of_kind = _places(samples.ids, rows, kind)
        ids = np.full((len(samples), count), NOBODY, np.int64)
        descriptors = np.zeros((len(samples), count, dimension), np.float32)
        if of_kind.num_rows:
            ids[place] = of_kind["neighbor_id"].to_numpy()
            descriptors[place] = descriptor_rows(of_kind["descriptor"])
        arrays += [ids, descriptors]
    return Companions(*arrays)


def weights_of(ids: Int64Array, rows: pa.Table, *, count: int) -> Weights:
    """Rows of `with_scores` as the weights of companions, for the samples with these ids, ascending."""

    def of(kind: int) -> Float64Array:
        place, of_kind = _places(ids, rows, kind)
        scores = np.full((len(ids), count), np.nan)
        scores[place] = of_kind["theirs"].to_numpy()
        return weight(scores)

    return of(SEEN), of(HEARD)


def _places(ids: Int64Array, rows: pa.Table, kind: int) -> tuple[tuple[Int64Array, Int64Array], pa.Table]:
    """Where the rows of one kind belong, and these rows."""
    of_kind = rows.filter(pc.equal(rows["kind"], kind))
    return (np.searchsorted(ids, of_kind["sample_id"].to_numpy()), of_kind["place"].to_numpy()), of_kind
