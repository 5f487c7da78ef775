"""What is forgotten leaves tables, collections and indexes, and in the end the disk; the rest stays."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pytest
from filled_store import fill, two_steps
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from raw_samples import RawSamples

from avlib import tables
from avlib.config import load_settings
from avlib.errors import InputError
from avlib.inspection import read_status
from avlib.retrieval.index import index_folder
from avlib.spark import filter, forget, ingest, optimize
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def test_forget_and_optimize(spark: SparkSession, tmp_path: Path) -> None:
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, RawSamples())
    filter.run(store, two_steps())
    states = {run.stage: run.state for run in read_status(store.warehouse).runs if run.state}
    assert set(states.values()) == {"up to date"} and {"knn", "components", "collection", "filter"} <= set(states)

    # Laid out anew, nothing is run again.
    store.append(tables.SAMPLES, store.read(tables.SAMPLES).limit(0))
    version = store.version(tables.COLLECTION)
    found = {table.name: (before, after) for table, before, after in optimize.run(store)}
    assert found["samples"][1] == 1 and found["runs"][0] >= 1
    assert store.last_change(tables.VIDEOS).version < store.version(tables.VIDEOS) + 1  # type: ignore[union-attr, operator]
    filter.run(store, two_steps())

    with pytest.raises(InputError, match="nowhere: no video"):
        forget.find(store, ["nowhere"], missing=False)
    assert list(forget.find(store, [], missing=True).videos) == list(range(6))  # their files were never there
    chosen = forget.find(store, ["4.mp4", "5.*"], missing=False)
    assert list(chosen.videos) == [4, 5] and chosen.samples == 50 and chosen.filters == ("default",)
    folder = Path(index_folder(store.warehouse, "default"))
    folder.mkdir(parents=True)
    forget.run(store, chosen)
    assert not folder.exists()
    assert store.version(tables.COLLECTION) != version
    for table in (tables.VIDEOS, tables.DESCRIPTIONS, tables.COLLECTION):
        left = {row["video_id"] for row in store.read(table).select("video_id").distinct().collect()}
        assert left == {0, 1, 2, 3}
    videos = store.read(tables.SAMPLES).select(F.shiftright("sample_id", 24).alias("video")).distinct().collect()
    assert {row["video"] for row in videos} == {0, 1, 2, 3}

    states = {run.stage: run.state for run in read_status(store.warehouse).runs if run.state}
    assert states["collection"] == "collection changed since" and states["filter"] == "collection changed since"
    filter.run(store, two_steps())
    neighbors = store.read(tables.NEIGHBORS).select(F.explode("neighbor_ids").alias("id")).where("id >> 24 > 3")
    assert neighbors.isEmpty()

    # Ids are not given again.
    (tmp_path / "new.mp4").write_bytes(b"new")
    ingest.run(store, load_settings(), [str(tmp_path / "new.mp4")])
    assert sorted(row["video_id"] for row in store.read(tables.VIDEOS).collect()) == [0, 1, 2, 3, 6]

    # The bytes go with the old files.
    place = Path(store.path(tables.SAMPLES))
    files = set(place.glob("*.parquet"))
    deltalake.DeltaTable(place).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert set(place.glob("*.parquet")) < files
    assert store.read(tables.SAMPLES).count() == 100
