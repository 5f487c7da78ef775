"""The paper's user study: samples, labels → the pictures and sounds of a listening sheet. Each fold is a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings
from avlib.errors import InputError
from avlib.evaluation import Labels
from avlib.evaluation.material import LabelledSamples, Material
from avlib.evaluation.protocol import RANDOM, Point, check_lenders
from avlib.evaluation.study import TRUTH, Pairing, draw_queries, pairings
from avlib.identity import video_ids
from avlib.listening import Excerpt, Item
from avlib.spark.evaluation import protocol_of, read_material
from avlib.spark.progress import say, watched
from avlib.spark.store import TableStore


def run(store: TableStore, settings: Settings, labels: Labels, *, each: int, truth: bool) -> list[Item]:
    """What the truth, where it is asked for, and each of `evaluate.strategies` give the query pictures.

    At the first ratio, under the first seed. Writes nothing. Raises InputError for the strategy `random`, and as
    `evaluation.run` does; ParameterError for more queries of a category than there are clean samples of it.
    """
    protocol = protocol_of(settings)
    if any(strategy.name == RANDOM for strategy in protocol.strategies):
        raise InputError(f"--arms: {RANDOM} is none; name {TRUTH}, unfiltered, or strategies of [filter.strategies]")
    material = read_material(store, labels, settings)
    ratio, seed = settings.evaluate.ratios[0], protocol.seeds[0]
    if ratio > 0:
        check_lenders(material, protocol)
    queries = draw_queries(material.clean, each=each, seed=seed)
    points = [Point(ratio, 1.0, seed, fold) for fold in range(protocol.folds)]
    spark = store.spark.sparkContext
    shared = spark.broadcast((material, protocol, queries))

    def pair(point: Point) -> list[Pairing]:
        material, protocol, queries = shared.value
        return list(pairings(material, protocol, point=point, queries=queries, truth=truth))

    with watched(store.spark, f"evaluate: suggesting sounds for {len(queries)} pictures"):
        found = spark.parallelize(points, len(points)).flatMap(pair).collect()
    shared.unpersist()
    counts = Counter(pairing.arm for pairing in found)
    for arm in [TRUTH] * truth + [strategy.name for strategy in protocol.strategies]:
        say(f"  {arm}: sounds for {counts[arm]} of {len(queries)} pictures")
    excerpts = _excerpts(store, material, found)
    return [Item(one.arm, excerpts[one.query_id], excerpts[one.sound_id]) for one in found]


def _excerpts(store: TableStore, material: Material, found: Sequence[Pairing]) -> dict[int, Excerpt]:
    """The samples that are seen or heard, by id."""
    wanted = np.unique([sample_id for one in found for sample_id in (one.query_id, one.sound_id)])
    videos = np.unique(video_ids(wanted)).tolist()
    rows = store.read(tables.VIDEOS).where(F.col("video_id").isin(videos)).select("video_id", "uri").collect()
    uris = {row["video_id"]: row["uri"] for row in rows}

    def of(samples: LabelledSamples) -> dict[int, Excerpt]:
        here = samples.take(np.isin(samples.ids, wanted))
        known = zip(here.ids.tolist(), here.videos.tolist(), here.times_s.tolist(), strict=True)
        return {sample_id: Excerpt(sample_id, uris[video], time_s) for sample_id, video, time_s in known}

    return of(material.clean) | of(material.outside)
