"""index: collection → shards of descriptors, visual and audio, of rows, and a manifest."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from pyarrow import fs
from pydantic import ValidationError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.config import DescribeSettings, Settings
from avlib.errors import WarehouseError
from avlib.models import StoredModel, described_with, read_model
from avlib.retrieval.building import BUILT, IndexPlan, build_shard, cells_of, merge_findings, shards_of, train
from avlib.retrieval.calibration import ASKING
from avlib.retrieval.index import IndexManifest, SoundDescription, index_folder, read_manifest, write_manifest
from avlib.retrieval.shards import is_whole, samples_to_train
from avlib.spark.progress import say, warn, watched
from avlib.spark.runs import Work, newest_record, recorded
from avlib.spark.samples import audio_samples, samples_described_with
from avlib.spark.stats import latest_stats, latest_stats_version
from avlib.spark.store import TableStore
from avlib.storage import filesystem, remove_folder, remove_partial

_READ = ("sample_id", "uri", "time_s", "component_id", "visual", "audio")


def run(store: TableStore, settings: Settings) -> None:
    """Index the collection as it is now. Skipped where a whole index is of these very rows and settings."""
    folder = index_folder(store.warehouse, store.name)
    with store.claim(f"index-{store.name}"):
        state = _state(store, settings)
        if state.present is not None:
            if all(is_whole(folder, shard) for shard in state.present.shards):
                _remove_superseded(folder, state.present)  # a run that was killed may have left them
                say(f"index {store.name}: nothing has changed")
                return
            say(f"index {store.name}: files are missing or damaged; it is made again")
        if state.audio == tables.AUDIO_LEARNED.name:
            _check_network(store)
        work = Work("index", [tables.COLLECTION, tables.DESCRIPTOR_STATS], [], [settings.index], store.name)
        with recorded(store, work) as record:
            record.summary = _write(store, settings, version=state.version, stats_version=state.stats_version)
    say(f"index {store.name}: {record.summary}")


def is_done(store: TableStore, settings: Settings) -> bool:
    """Whether there is an index of the collection and settings as they are; its files are not looked at."""
    return _state(store, settings).present is not None


@dataclass(frozen=True)
class _State:
    """version: of the collection.  stats_version, audio: of its sound descriptor.  present: the index, if it is of
    these very rows and settings."""

    version: int
    stats_version: int
    audio: str
    present: IndexManifest | None


def _state(store: TableStore, settings: Settings) -> _State:
    version = store.version(tables.COLLECTION)  # first: should rows be of a later one, the index is found to be older
    audio = _audio(store, settings)
    changed = store.last_change(tables.COLLECTION)  # a VACUUM is a version too, of the same rows
    assert version is not None and changed is not None
    stats_version = latest_stats_version(store, audio)
    present = _present(index_folder(store.warehouse, store.name))
    wanted = (store.table_id(tables.COLLECTION), stats_version, settings.index.fingerprint())
    same_rows = present is not None and changed.version <= present.collection_version <= version
    if present is None or not same_rows or _made_from(present) != wanted:
        present = None
    return _State(version, stats_version, audio, present)


def _write(store: TableStore, settings: Settings, *, version: int, stats_version: int) -> str:
    """Write the index of this version of the collection; returns what came of it."""
    folder = index_folder(store.warehouse, store.name)
    collection, audio = store.read(tables.COLLECTION), _audio(store, settings)
    samples, described = collection.count(), _described_with(store)
    plan = IndexPlan(
        folder=folder,
        generation=f"v{version}-s{stats_version}-{uuid.uuid4().hex[:12]}",
        stats=latest_stats(store, audio),
        cells=cells_of(samples, settings.index),
        recall=settings.index.recall,
    )
    shards = max(-(-samples // settings.index.shard_rows), 1)
    with watched(store.spark, "index"):
        rows = collection.withColumn("component_id", F.element_at("component_ids", -1)).select(*_READ)
        built = BUILT.empty_table()
        if samples:
            asking = _asking(store, rows, audio=audio, described=described)
            built = _built(rows, plan.with_asking(asking), samples=samples, shards=shards)
    nearest, cells = merge_findings(built, plan)
    model = read_model(store.warehouse, described)
    manifest = IndexManifest(
        collection_id=store.table_id(tables.COLLECTION),
        collection_version=version,
        stats_version=stats_version,
        made_with=settings.index.fingerprint(),
        audio=audio,
        model=model,
        mean=tuple(plan.stats.mean),
        deviation=tuple(plan.stats.deviation),
        sound=_sound(store, settings, model, described),
        cells=cells,
        nearest=nearest,
        shards=shards_of(built),
    )
    write_manifest(folder, manifest)
    _remove_superseded(folder, manifest)
    searched = "; ".join(
        f"{modality}: {of.probes} of {of.cells} cells searched, recall {of.recall:.3f}"
        for modality, of in manifest.cells.items()
    )
    return f"{manifest.samples} samples" + (f"; {searched}" if searched else "")


def _built(rows: DataFrame, plan: IndexPlan, *, samples: int, shards: int) -> pa.Table:
    """The files and findings of all shards, as BUILT says."""
    if plan.cells:
        share = samples_to_train(plan.cells) / samples
        few = rows.where(F.pmod(F.xxhash64("sample_id", F.lit("training")), F.lit(1 << 20)) < share * (1 << 20))

        def trained(training: pa.Table) -> pa.Table:  # Spark reads these types, which a partial would hide
            return train(training, plan)

        few.withColumn("shard", F.lit(0)).groupBy("shard").applyInArrow(trained, "modality string").collect()

    def build(of_shard: pa.Table) -> pa.Table:
        return build_shard(of_shard, plan)

    numbered = rows.withColumn("shard", F.pmod(F.xxhash64("sample_id"), F.lit(shards)))
    built: pa.Table = numbered.groupBy("shard").applyInArrow(build, from_arrow_schema(BUILT)).toArrow()
    return built.cast(BUILT)


def _asking(store: TableStore, rows: DataFrame, *, audio: str, described: str) -> pa.Table:
    """Random samples of all but copies; of the collection alone, where the others have been described anew since."""
    try:
        alike = samples_described_with(store) == described
    except WarehouseError:
        alike = False
    samples = audio_samples(store, audio) if alike else rows
    if store.exists(tables.COPIES):  # they would find the sample they are copies of
        samples = samples.join(store.read(tables.COPIES).select("sample_id"), "sample_id", "left_anti")
    drawn = samples.orderBy(F.xxhash64("sample_id", F.lit("asking")), "sample_id").limit(ASKING)
    return drawn.select("sample_id", "visual", "audio").toArrow()


def _sound(store: TableStore, settings: Settings, model: StoredModel, described: str) -> SoundDescription | None:
    """How the collection's sounds were described: as these settings say, or those of an earlier run that fit."""
    for candidate in (settings.describe, *_recorded(store)):
        if described_with(candidate, model) == described:
            return SoundDescription(candidate.frame_rate_hz, candidate.audio, candidate.audio_context)
    warn("no record of how sounds were described, only pictures can be asked about; give index describe's settings")
    return None


def _recorded(store: TableStore) -> list[DescribeSettings]:
    """[describe] of all earlier runs that this version of avlib understands, the newest first."""
    if not store.exists(tables.RUNS):
        return []
    runs = store.read(tables.RUNS).where(F.col("stage") == "describe")
    newest = runs.groupBy("settings").agg(F.max("started").alias("started")).orderBy(F.desc("started"))
    found = []
    for row in newest.collect():
        try:
            found.append(DescribeSettings.model_validate(json.loads(row["settings"])[0]))
        except (ValidationError, ValueError, IndexError):
            continue
    return found


def _present(folder: str) -> IndexManifest | None:
    """The manifest that is there; one that cannot be read any more is as good as none."""
    try:
        return read_manifest(folder)
    except WarehouseError:
        return None


def _made_from(manifest: IndexManifest) -> tuple[str, int, str]:
    return manifest.collection_id, manifest.stats_version, manifest.made_with


def _described_with(store: TableStore) -> str:
    """What the samples of the collection were described with; of an empty one, what there is."""
    row = store.read(tables.COLLECTION).select("described_with").first()
    return samples_described_with(store) if row is None else str(row["described_with"])


def _audio(store: TableStore, settings: Settings) -> str:
    """The sound descriptor of the collection; of an empty one, what the settings name."""
    row = store.read(tables.COLLECTION).select("audio_descriptor").first()
    return settings.filter.audio if row is None else str(row["audio_descriptor"])


def _check_network(store: TableStore) -> None:
    """Raise WarehouseError where the collection's sounds were described by another network than there is now."""
    learned, filtered = newest_record(store, "learn"), newest_record(store, "filter", store.name)
    if learned is None or filtered is None:
        return
    if learned["started"] + timedelta(seconds=learned["seconds"]) > filtered["started"]:
        command = f"avlib filter --name {store.name}"
        raise WarehouseError(f"the sound descriptor was learned anew since; run `{command}` again")


def _remove_superseded(folder: str, new: IndexManifest) -> None:
    """Remove what earlier indexes left, which the new manifest does not name."""
    named = {shard.file.partition("/")[0] for shard in new.shards}
    system, path = filesystem(folder)
    for found in system.get_file_info(fs.FileSelector(path)):
        if found.type == fs.FileType.Directory and found.base_name not in named:
            remove_folder(f"{folder}/{found.base_name}")
    remove_partial(folder)
