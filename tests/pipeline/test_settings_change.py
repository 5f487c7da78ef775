"""Other settings, other inputs, nothing to filter: what a warehouse does when it is used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import load_settings
from avlib.demo import make_collection
from avlib.errors import WarehouseError
from avlib.retrieval.index import index_folder, read_manifest
from avlib.spark import collection, describe, filter, index, ingest, knn
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.pipeline]

QUICK = ["describe.visual_model=hog_color", "describe.frame_stride=10", "knn.k=5", "components.min_size=2"]
QUICK += ["filter.strategy=V+A"]


@pytest.fixture(scope="module")
def filtered(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> TableStore:
    """Six videos, described and filtered, in a warehouse named by a file: URI with a space in it."""
    folder = tmp_path_factory.mktemp("made")
    videos = make_collection(folder, videos=6, processes=2).videos_dir
    store = TableStore(spark, f"file://{folder}/a%20warehouse")
    assert store.warehouse == f"{folder}/a warehouse"
    settings = load_settings(assignments=QUICK)
    ingest.run(store, settings, [str(videos)])
    describe.run(store, settings)
    filter.run(store, settings)
    return store


def test_another_strategy_under_the_same_name_leaves_no_steps_behind(filtered: TableStore) -> None:
    joint = load_settings(assignments=[*QUICK, "filter.strategy=joint"])
    filter.run(filtered, joint)
    for table in (tables.NEIGHBORS, tables.MUTUAL_EDGES, tables.COMPONENTS):
        assert {row["step"] for row in filtered.read(table).select("step").distinct().collect()} == {0}
    with pytest.raises(WarehouseError, match="step 1 lacks mutual_edges"):
        collection.run(filtered, joint, 1)


def test_a_step_that_leaves_nothing(filtered: TableStore) -> None:
    store = TableStore(filtered.spark, filtered.warehouse, name="nothing")
    settings = load_settings(assignments=[*QUICK, "components.min_size=100000"])
    filter.run(store, settings)
    assert store.read(tables.COLLECTION).count() == 0
    index.run(store, settings)
    manifest = read_manifest(index_folder(store.warehouse, store.name))
    assert manifest is not None and manifest.shards == ()
    with pytest.raises(WarehouseError, match="step 0 has not been run, or left no samples"):
        knn.run(store, settings, 1)


def test_other_settings_describe_anew_and_a_mixture_is_refused(filtered: TableStore) -> None:
    before = {row["sample_id"] for row in live_samples(filtered).select("sample_id").collect()}
    small = load_settings(assignments=[*QUICK, "describe.picture_size_px=64", "describe.batch_videos=4"])
    # As after a describe that was stopped half-way: two videos have a second attempt with other settings.
    described = filtered.read(tables.DESCRIPTIONS)
    version = filtered.version(tables.DESCRIPTIONS)
    halfway = described.where("video_id < 2").withColumn("attempt", F.lit(2)).withColumn("described_with", F.lit("x"))
    filtered.append(tables.SAMPLES, filtered.read(tables.SAMPLES).withColumn("attempt", F.lit(2)))
    filtered.append(tables.DESCRIPTIONS, halfway)
    with pytest.raises(WarehouseError, match="described with different settings or models"):
        filter.run(filtered, small)
    assert filtered.version(tables.DESCRIPTIONS) == version + 1  # type: ignore[operator]

    describe.run(filtered, small)  # in two batches
    after = live_samples(filtered)
    assert {row["sample_id"] for row in after.select("sample_id").collect()} == before
    assert filtered.read(tables.SAMPLES).count() == len(before)  # the older attempts are gone
    index.run(filtered, small)  # of the old collection, and so with the old model
    manifest = read_manifest(index_folder(filtered.warehouse, filtered.name))
    assert manifest is not None and manifest.model.picture_size_px == 224
    filter.run(filtered, small)
    index.run(filtered, small)
    manifest = read_manifest(index_folder(filtered.warehouse, filtered.name))
    assert manifest is not None and manifest.model.picture_size_px == 64


def test_nothing_to_filter_is_said(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    soundfile.write(tmp_path / "sound.wav", np.zeros(16000, np.float32), 16000)
    store, settings = TableStore(spark, str(tmp_path / "warehouse")), load_settings(assignments=QUICK)
    ingest.run(store, settings, [str(tmp_path)])
    describe.run(store, settings)
    assert describe.check_invariant(store) == "2 videos = 1 no_video, 1 failed; 0 samples"
    with pytest.raises(WarehouseError, match="no samples to filter"):
        filter.run(store, settings)
