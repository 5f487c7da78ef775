"""index: collection → FAISS shards, visual and audio, and a manifest."""

from __future__ import annotations

from dataclasses import asdict

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.columns import descriptor_rows
from avlib.config import Settings
from avlib.descriptors import DescriptorStats, normalise_audio, normalise_visual
from avlib.models import read_model
from avlib.retrieval.index import (
    IndexManifest,
    Shard,
    index_folder,
    read_manifest,
    write_manifest,
    write_shard,
)
from avlib.spark.progress import say, watched
from avlib.spark.runs import Recorder, Work
from avlib.spark.samples import samples_described_with
from avlib.spark.stats import latest_stats, latest_stats_version
from avlib.spark.store import TableStore
from avlib.storage import remove_folder

_SHARDS = pa.schema(
    [("modality", pa.string()), ("file", pa.string()), ("samples", pa.int64()), ("sha256", pa.string())]
)


def run(store: TableStore, settings: Settings) -> None:
    """Index the collection as it is now. Skipped where the index is of this very version."""
    folder = index_folder(store.warehouse, store.name)
    collection = store.read(tables.COLLECTION)
    version, audio = store.version(tables.COLLECTION), _audio(store, settings)
    stats_version = latest_stats_version(store, audio)
    assert version is not None
    present = read_manifest(folder)
    if present is not None and (present.collection_version, present.stats_version) == (version, stats_version):
        say(f"index {store.name}: nothing has changed")
        return
    recorder = Recorder(
        store, Work("index", [tables.COLLECTION, tables.DESCRIPTOR_STATS], [], [settings.index], store.name)
    )
    stats = latest_stats(store, audio)
    generation = f"v{version}-s{stats_version}"
    shards = -(-collection.count() // settings.index.shard_rows)

    def build(rows: pa.Table) -> pa.Table:  # Spark reads these types, which a partial would hide
        return _build(rows, folder=folder, generation=generation, stats=stats)

    with watched(store.spark, "index"):
        rows = collection.select("sample_id", "visual", "audio").withColumn(
            "shard", F.pmod(F.xxhash64("sample_id"), F.lit(max(shards, 1)))
        )
        built = rows.groupBy("shard").applyInArrow(build, from_arrow_schema(_SHARDS)).collect()
    manifest = IndexManifest(
        collection_version=version,
        stats_version=stats_version,
        audio=audio,
        model=read_model(store.warehouse, _described_with(store)),
        mean=tuple(stats.mean),
        deviation=tuple(stats.deviation),
        shards=tuple(sorted((Shard(**row.asDict()) for row in built), key=lambda shard: shard.file)),
    )
    write_manifest(folder, manifest)
    _remove_superseded(folder, present, manifest)
    summary = f"{sum(shard.samples for shard in manifest.of_modality('visual'))} samples"
    recorder.finish(summary)
    say(f"index {store.name}: {summary}")


def _described_with(store: TableStore) -> str:
    """What the samples of the collection were described with; of an empty one, what there is."""
    row = store.read(tables.COLLECTION).select("described_with").first()
    return samples_described_with(store) if row is None else str(row["described_with"])


def _audio(store: TableStore, settings: Settings) -> str:
    """The sound descriptor of the collection; of an empty one, what the settings name."""
    row = store.read(tables.COLLECTION).select("audio_descriptor").first()
    return settings.filter.audio if row is None else str(row["audio_descriptor"])


def _remove_superseded(folder: str, old: IndexManifest | None, new: IndexManifest) -> None:
    """Remove the files of the index before, which the new manifest no longer names."""
    folders = {shard.file.partition("/")[0] for shard in new.shards}
    for gone in {shard.file.partition("/")[0] for shard in (old.shards if old else ())} - folders:
        remove_folder(f"{folder}/{gone}")


def _build(rows: pa.Table, *, folder: str, generation: str, stats: DescriptorStats) -> pa.Table:
    rows = rows.sort_by("sample_id")
    ids, number = rows["sample_id"].to_numpy(), rows["shard"][0].as_py()
    described = {
        "visual": normalise_visual(descriptor_rows(rows["visual"])),
        "audio": normalise_audio(descriptor_rows(rows["audio"]), stats),
    }
    shards = [
        write_shard(
            folder, f"{generation}/{modality}-{number:05}.faiss", modality=modality, ids=ids, descriptors=values
        )
        for modality, values in described.items()
    ]
    return pa.Table.from_pylist([asdict(shard) for shard in shards], schema=_SHARDS)
