"""agreement: samples → scores. How well sound goes with picture, judged by other videos; see avlib.agreement.

Samples are made short; each gets the nearest samples of other videos, by picture and by sound, as companions, whose
descriptors travel to it; a slice of a video is scored in one task. That is done twice: the second time companions
count by their own first scores. Some pieces are scored with sounds of other videos too, on the driver; that decides
from which score on samples are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.agreement import (
    MOST_ACCIDENTAL,
    NOBODY,
    PIECE_BITS,
    SLICE_BITS,
    SUPPORTERS,
    Companions,
    Evidence,
    Histogram,
    Views,
    accidental_scores,
    agreement,
    asked,
    check_videos,
    drawn_pieces,
    equal_weights,
    evidence,
    slice_scores,
    supporters,
    threshold_doubting,
    threshold_keeping,
)
from avlib.columns import matrix
from avlib.config import AgreementSettings, Settings
from avlib.spark import copies
from avlib.spark.companions import (
    companion_lists,
    companions_of,
    weights_of,
    with_descriptors,
    with_scores,
)
from avlib.spark.progress import say, warn, watched
from avlib.spark.runs import Work, is_done, recorded
from avlib.spark.samples import files_of_samples, learned_inputs, samples_described_with, sound_samples, without_copies
from avlib.spark.stats import latest_stats
from avlib.spark.store import TableStore
from avlib.spark.views import VIEWS, drawn, short_views, views_of
from avlib.spark.written import written
from avlib.table_log import Note

_WORTH = pa.list_(pa.field("element", pa.float64(), nullable=False))
_FIRST = pa.schema(
    [
        *VIEWS,
        ("score", pa.float64()),
        ("radius", pa.float64()),
        ("seen_ids", tables.IDS),
        ("seen", _WORTH),
        ("heard_ids", tables.IDS),
        ("heard", _WORTH),
    ]
)
_FEW_VIDEOS = 24
_SCORES = pa.schema([field for field in tables.SCORES.schema if field.name != "kept"])


def run(store: TableStore, settings: Settings) -> int:
    """Write the scores of all samples, and which are to be kept; returns how many. What was made of others is dropped.

    Raises ParameterError for a single video, WarehouseError where samples were described in several ways, or none is.
    """
    samples_described_with(store)
    wanted = settings.agreement
    with store.claim_filter():
        copies.run(store, settings)
        left_out = [tables.COPIES] if settings.copies.dropped_by(scored=settings.filter.scored) else []
        inputs = [tables.DESCRIPTIONS, tables.SAMPLES, tables.DESCRIPTOR_STATS, *left_out]
        inputs += learned_inputs(*wanted.audio)
        work = Work("agreement", inputs, [tables.SCORES], [wanted, settings.knn], store.name)
        if is_done(store, work):
            return store.read(tables.SCORES).where("kept").count()
        with recorded(store, work) as record:
            kept, record.summary = _run(store, settings, work.note(store))
            return kept


def _run(store: TableStore, settings: Settings, note: Note) -> tuple[int, str]:
    """Write the scores; returns how many samples are kept, and what came of it."""
    wanted = settings.agreement
    samples = without_copies(store, sound_samples(store, *wanted.audio), settings)
    videos = samples.select("video_id").distinct().count()
    check_videos(videos)
    count = asked(wanted, videos=videos)
    for table in tables.BY_STEP:
        store.drop_steps(table, first=0)
    with watched(store.spark, "agreement"), store.scratch("agreement", resumes=note.made_from) as folder:
        files = files_of_samples(store, visual="visual", **{name: name for name in wanted.audio})
        stats = [latest_stats(store, audio) for audio in wanted.audio]
        views = written(short_views(samples, files, stats, wanted), f"{folder}/views")
        lists = companion_lists(views, settings, count=count, folder=folder)
        references = views_of(drawn(views, wanted.references, seed=wanted.seed).toArrow())
        scoring = _Scoring(references, wanted, count)
        first = written(_by_slice(views, with_descriptors(lists, views), scoring.first, _FIRST), f"{folder}/first")
        second = written(_by_slice(first, with_scores(lists, first), scoring.second, _SCORES), f"{folder}/second")
        threshold = scoring.threshold(second, views, lists, first)
        kept = F.col("score") >= threshold
        store.overwrite(tables.SCORES, second.withColumn("kept", kept), note=note)
        totals = second.agg(F.count("*"), F.count_if(kept)).first()
    assert totals is not None
    if threshold == float("inf"):
        warn(f"agreement: none of {totals[0]} samples is more likely right than agreement.doubt asks for")
    else:
        say(f"  agreement: {totals[1]} of {totals[0]} samples score {threshold:.3f} or more and are kept")
    if videos < _FEW_VIDEOS:
        warn(f"agreement: only {videos} videos, too few to say what goes together: part of this is chance; try V+A")
    return int(totals[1]), f"{totals[1]} of {totals[0]} samples agree"


@dataclass(frozen=True)
class _Scoring:
    """What the workers need to score a slice.  count: companions of each kind."""

    references: Views
    settings: AgreementSettings
    count: int

    def first(self, views: pa.Table, companions: pa.Table) -> pa.Table:
        """A slice of VIEWS and the rows of its companions → _FIRST: all companions count alike."""
        views = views.sort_by("sample_id")
        samples = views_of(views)
        theirs = companions_of(samples, companions, count=self.count)
        found = evidence(samples, theirs, self.references)
        values = agreement(found, theirs, equal_weights(theirs))
        columns = {
            "score": slice_scores(samples, values, found.radius, self.settings),
            "radius": found.radius,
            "seen_ids": list(theirs.seen_ids),
            "seen": list(found.seen),
            "heard_ids": list(theirs.heard_ids),
            "heard": list(found.heard),
        }
        arrays = [*(views[name] for name in VIEWS.names), *(pa.array(column) for column in columns.values())]
        return pa.table(arrays, names=_FIRST.names).cast(_FIRST)

    def second(self, first: pa.Table, weighted: pa.Table) -> pa.Table:
        """A slice of _FIRST and the first scores of its companions → _SCORES."""
        first = first.sort_by("sample_id")
        samples = views_of(first)
        weights = weights_of(samples.ids, weighted, count=self.count)
        seen_ids, seen, heard_ids, heard = (matrix(first[name]) for name in ("seen_ids", "seen", "heard_ids", "heard"))
        nothing = np.empty((len(samples), 0, 0), np.float32)
        theirs = Companions(seen_ids, nothing, heard_ids, nothing)
        found = Evidence(seen, heard, first["radius"].to_numpy())
        scores = slice_scores(samples, agreement(found, theirs, weights), found.radius, self.settings)
        videos, reasons = supporters(found, theirs, weights, most=SUPPORTERS)
        named = [row[row != NOBODY] for row in reasons]
        return pa.table([first["sample_id"], scores, videos, named], names=_SCORES.names).cast(_SCORES)

    def threshold(self, scores: DataFrame, views: DataFrame, lists: DataFrame, first: DataFrame) -> float:
        """The score from which on samples are kept. scores: sample_id, score of all samples."""
        histogram = _histogram(scores)
        if self.settings.keep:
            return threshold_keeping(histogram, keep=self.settings.keep)
        piece = F.shiftright("sample_id", PIECE_BITS)
        counts = scores.groupBy(piece.alias("piece")).agg(F.count("*").alias("samples"))
        known = drawn(counts, MOST_ACCIDENTAL, seed=self.settings.seed, by="piece").toArrow()
        pieces = drawn_pieces(*(known[name].to_numpy() for name in ("piece", "samples")), seed=self.settings.seed)
        wanted = F.broadcast(scores.sparkSession.createDataFrame(pa.table({"piece": pieces})))

        def some(rows: DataFrame) -> DataFrame:
            return rows.join(wanted, piece == F.col("piece"), "left_semi")

        samples = views_of(some(views).toArrow())
        theirs = companions_of(samples, with_descriptors(some(lists), views).toArrow(), count=self.count)
        weights = weights_of(samples.ids, with_scores(some(lists), first).toArrow(), count=self.count)
        accidental = accidental_scores(samples, theirs, weights, self.references, self.settings)
        return threshold_doubting(histogram, accidental, doubt=self.settings.doubt)


def _by_slice(
    left: DataFrame, right: DataFrame, score: Callable[[pa.Table, pa.Table], pa.Table], schema: pa.Schema
) -> DataFrame:
    """Score every slice of `left` with the rows of `right` that are its samples'."""

    def one(left_rows: pa.Table, right_rows: pa.Table) -> pa.Table:  # Spark reads these types, a method would hide them
        return score(left_rows, right_rows)

    sides = [rows.groupBy(F.shiftright("sample_id", SLICE_BITS)) for rows in (left, right)]
    return sides[0].cogroup(sides[1]).applyInArrow(one, from_arrow_schema(schema))


def _histogram(scores: DataFrame) -> Histogram:
    rows = scores.groupBy("score").agg(F.count("*").alias("samples")).orderBy("score").toArrow()
    return Histogram(rows["score"].to_numpy(), rows["samples"].to_numpy())
