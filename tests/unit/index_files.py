"""Indexes of made-up samples, built as the index stage builds them, without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

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

_Samples: TypeAlias = tuple[Int64Array, Float32Array, Float32Array, pa.ChunkedArray]


def build_index(
    folder: Path,
    ids: Int64Array,
    visual: Float32Array,
    audio: Float32Array,
    settings: IndexSettings,
    *,
    uris: pa.ChunkedArray | None = None,
    stats: DescriptorStats | None = None,
) -> IndexManifest:
    """Write an index of raw descriptors; the samples themselves ask. Frames are 1/25 s apart, the component is 7.

    uris: of each sample; default VIDEO.mp4.  stats: of the sounds; default: such as change nothing.
    """
    uris = pa.chunked_array([[f"{video}.mp4" for video in (ids >> 24).tolist()]]) if uris is None else uris
    samples = (ids, visual, audio, uris)
    stats = stats or DescriptorStats(np.zeros(audio.shape[1]), np.ones(audio.shape[1]), len(ids))
    cells = cells_of(len(ids), settings)
    plan = IndexPlan(str(folder), "v0-s0-test", stats, cells, settings.recall)
    drawn = np.random.default_rng(0).permutation(len(ids))
    plan = plan.with_asking(_rows(samples, drawn[:1000], 0))
    if cells:
        train(_rows(samples, drawn[: samples_to_train(cells)], 0), plan)
    number = np.arange(len(ids)) % max(-(-len(ids) // settings.shard_rows), 1)
    built = pa.concat_tables(
        build_shard(_rows(samples, np.flatnonzero(number == shard), shard), plan)
        for shard in np.unique(number).tolist()
    )
    nearest, searched = merge_findings(built, plan)
    manifest = IndexManifest(
        collection_id="",
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


def _rows(samples: _Samples, rows: Int64Array, shard: int) -> pa.Table:
    ids, visual, audio, uris = samples
    return pa.table(
        {
            "sample_id": ids[rows],
            "uri": uris.take(rows),
            "time_s": (ids[rows] & 0xFFFFFF) / 25,
            "component_id": np.full(len(rows), 7),
            "visual": descriptor_column(visual[rows]),
            "audio": descriptor_column(audio[rows]),
            "shard": np.full(len(rows), shard),
        }
    )
