"""Indexes of made-up samples, built as the index stage builds them, without Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from avlib.arrays import Float32Array, Int64Array
from avlib.columns import descriptor_column
from avlib.config import IndexSettings
from avlib.descriptors import DescriptorStats
from avlib.models import StoredModel
from avlib.retrieval.building import IndexPlan, build_shard, cells_of, merge_findings, shards_of, train
from avlib.retrieval.index import IndexManifest, write_manifest
from avlib.retrieval.shards import samples_to_train


def build_index(
    folder: Path, ids: Int64Array, visual: Float32Array, audio: Float32Array, settings: IndexSettings
) -> IndexManifest:
    """Write an index; the samples themselves ask. Rows: uri VIDEO.mp4, time_s the frame / 5, component 7."""
    stats = DescriptorStats(np.zeros(audio.shape[1]), np.ones(audio.shape[1]), len(ids))
    cells = cells_of(len(ids), settings)
    plan = IndexPlan(str(folder), "v0-s0-test", stats, cells, settings.recall)
    drawn = np.random.default_rng(0).permutation(len(ids))
    plan = plan.with_asking(_rows(ids, visual, audio, drawn[:1000], 0))
    if cells:
        train(_rows(ids, visual, audio, drawn[: samples_to_train(cells)], 0), plan)
    number = np.arange(len(ids)) % max(-(-len(ids) // settings.shard_rows), 1)
    built = pa.concat_tables(
        build_shard(_rows(ids, visual, audio, np.flatnonzero(number == shard), shard), plan)
        for shard in np.unique(number).tolist()
    )
    nearest, searched = merge_findings(built, plan)
    manifest = IndexManifest(
        collection_version=0,
        stats_version=0,
        made_with=settings.fingerprint(),
        audio="audio_mfcc65",
        model=StoredModel("hog_color", None, "", 224),
        mean=tuple(stats.mean),
        deviation=tuple(stats.deviation),
        sound=None,
        cells=searched,
        nearest=nearest,
        shards=shards_of(built),
    )
    write_manifest(str(folder), manifest)
    return manifest


def _rows(ids: Int64Array, visual: Float32Array, audio: Float32Array, rows: Int64Array, shard: int) -> pa.Table:
    return pa.table(
        {
            "sample_id": ids[rows],
            "uri": [f"{video}.mp4" for video in (ids[rows] >> 24).tolist()],
            "time_s": (ids[rows] & 0xFFFFFF) / 5,
            "component_id": np.full(len(rows), 7),
            "visual": descriptor_column(visual[rows]),
            "audio": descriptor_column(audio[rows]),
            "shard": np.full(len(rows), shard),
        }
    )
