"""What is forgotten leaves tables, collections and indexes, and in the end the disk; the rest stays."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from filled_store import STEPS, fill
from index_files import build_index
from pyarrow import parquet
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from raw_samples import RawSamples

from avlib import tables
from avlib.claims import claimed
from avlib.commands.forget import forget as forget_command
from avlib.config import load_settings
from avlib.errors import InputError, WarehouseError
from avlib.inspection import read_status
from avlib.learning.job import learning_folder
from avlib.retrieval.index import index_folder, read_manifest
from avlib.spark import describe, filter, forget, ingest, optimize
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

ONE_STEP = [f"filter.strategies.mine={STEPS.partition('}')[0]}}}]", "filter.strategy=mine", "components.min_size=1"]
WITH_TEXTS = (tables.VIDEOS, tables.DESCRIPTIONS, tables.COLLECTION)
UNCHECKED = "spark.databricks.delta.retentionDurationCheck.enabled"


@pytest.fixture(scope="module")
def store(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableStore]:
    """Filtered; the tests leave it to one another."""
    filled = TableStore(spark, str(tmp_path_factory.mktemp("forget") / "warehouse"))
    fill(filled, RawSamples())
    once_failed = {"attempt": F.lit(0), "status": F.lit("failed"), "error": F.lit("5.mp4 is cut off")}
    descriptions = filled.read(tables.DESCRIPTIONS).where("video_id = 5")
    filled.append(tables.DESCRIPTIONS, descriptions.withColumns(once_failed | {"samples": F.lit(0).cast("bigint")}))
    filter.run(filled, load_settings(assignments=ONE_STEP))
    for table in WITH_TEXTS:
        filled._snapshot(table).deltaLog().checkpoint()
    yield filled
    spark.conf.unset(UNCHECKED)


def states(store: TableStore) -> dict[str, str]:
    return {run.stage: run.state for run in read_status(store.warehouse).runs if run.state}


def held(store: TableStore, table: tables.Table) -> set[int]:
    video = "sample_id >> 24" if table == tables.SAMPLES else "video_id"
    return {row["video"] for row in store.read(table).selectExpr(f"{video} AS video").distinct().collect()}


def test_laid_out_anew_nothing_is_run_again(store: TableStore) -> None:
    assert set(states(store).values()) == {"up to date"}
    assert {"knn", "components", "collection", "filter"} <= set(states(store))
    store.append(tables.SAMPLES, store.read(tables.SAMPLES).limit(0))
    filter.run(store, load_settings(assignments=ONE_STEP))  # a commit is a commit
    outputs = (tables.NEIGHBORS, tables.MUTUAL_EDGES, tables.COMPONENTS, tables.COLLECTION)
    versions, changed = [store.version(table) for table in outputs], store.last_change(tables.SAMPLES)
    found = {table.name: (before, after) for table, before, after in optimize.run(store)}
    assert found["samples"][0] > found["samples"][1] == 1 and found["runs"][0] >= 1
    newest = store.version(tables.SAMPLES)
    assert changed is not None and newest is not None and changed.version < newest
    assert store.last_change(tables.SAMPLES) == changed
    filter.run(store, load_settings(assignments=ONE_STEP))
    assert [store.version(table) for table in outputs] == versions


@pytest.mark.parametrize("deletions", [0, 1, 2, 3])
def test_what_a_kill_left_is_no_fault_and_goes_the_next_time(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deletions: int
) -> None:
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, RawSamples())
    left = iter(range(deletions))
    delete = TableStore.delete

    def until_killed(store: TableStore, table: tables.Table, matching: Column) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        delete(store, table, matching)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TableStore, "delete", until_killed)
        forget.run(store, forget.find(store, ["5.mp4"], missing=False))
    assert 5 in held(store, tables.VIDEOS)
    describe._check_samples(store)  # else describe would not run until samples were restored
    assert forget.find(store, ["5.mp4"], missing=False).videos == {5: "5.mp4"}
    forget.run(store, forget.find(store, ["5.mp4"], missing=False))
    for table in (tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES):
        assert held(store, table) == {0, 1, 2, 3, 4}


def test_forget(store: TableStore, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse, raw = Path(store.warehouse), RawSamples()
    with pytest.raises(InputError, match="nowhere: no video"):
        forget.find(store, ["nowhere"], missing=False)
    folder = index_folder(store.warehouse, "default")
    uris = pa.chunked_array([[f"{video}.mp4" for video in (raw.ids >> 24).tolist()]])
    build_index(Path(folder), raw.ids, raw.visual, raw.audio, load_settings().index, uris=uris)
    assert read_manifest(folder) is not None
    store.delete(tables.COLLECTION, F.col("video_id") == 5)  # filtered anew since: the index alone has it
    shutil.copytree(warehouse / "filters" / "default", warehouse / "filters" / "late")
    Path(learning_folder(str(warehouse))).mkdir()
    (killed := warehouse / "_scratch" / "filter-killed").mkdir(parents=True)  # before it had tables
    (killed / "block").write_text("a sample of 5.mp4")

    chosen = forget.find(store, ["5.mp4"], missing=False)
    assert chosen.videos == {5: "5.mp4"} and chosen.samples == 25 and chosen.filters == ()
    assert forget.run(store, chosen) == ()
    assert not Path(folder).exists() and not Path(learning_folder(str(warehouse))).exists()

    shutil.move(warehouse / "filters" / "late", warehouse / "late")
    chosen = forget.find(store, ["4.*"], missing=False)
    assert set(chosen.videos) == {4} and chosen.filters == ("default",)
    shutil.move(warehouse / "late", warehouse / "filters" / "late")  # a filter run that ends in between
    assert forget.run(store, chosen) == ("default", "late")
    late = store.of_run("late")
    for table in (tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES, tables.COLLECTION):
        assert held(store, table) == {0, 1, 2, 3}
    assert held(late, tables.COLLECTION) == {0, 1, 2, 3}

    # Of a collection that alone still holds one.
    row = (
        late.read(tables.COLLECTION).limit(1).withColumns({"video_id": F.lit(9).cast("bigint"), "uri": F.lit("9.mp4")})
    )
    late.append(tables.COLLECTION, row)
    capsys.readouterr()
    forget_command(store.warehouse, ["9.mp4"], yes=True)
    said = capsys.readouterr().out
    assert held(late, tables.COLLECTION) == {0, 1, 2, 3}
    assert " --name late`" in said and " --name default`" not in said

    # The bytes go with the old files, as is printed.
    own = [tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES, tables.COLLECTION]
    places = [*map(store.path, own), late.path(tables.COLLECTION)]
    printed = [line for line in said.splitlines() if "VACUUM delta.`file:" in line]
    assert printed == [f"  VACUUM delta.`file:{place}`;" for place in places]
    allowed, vacuum = (line.strip(" ;") for line in said.splitlines() if "SET " in line or "RETAIN" in line)
    place = Path(store.path(tables.SAMPLES))
    files = set(place.glob("*.parquet"))
    for statement in (allowed, vacuum.replace("…", str(place))):
        store.spark.sql(statement)
    assert set(place.glob("*.parquet")) < files
    assert store.read(tables.SAMPLES).count() == 100


def test_no_file_names_what_is_forgotten(store: TableStore) -> None:
    written = max(Path(store.path(tables.VIDEOS)).glob("*.parquet"), key=lambda file: b"5.mp4" in read_rows(file))
    shutil.copy(written, written.with_name("part-uncommitted.parquet"))  # as a kill leaves it
    for place in forget.places(store):  # without Spark, as README says
        DeltaTable(place).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    naming, files = re.compile(rb"\b[459]\.mp4"), [file for file in Path(store.warehouse).rglob("*") if file.is_file()]
    content = {file: file.read_bytes() + read_rows(file) for file in files}
    assert [file for file in files if naming.search(content[file])] == []
    assert any(file.name.endswith(".checkpoint.parquet") for file in files)
    assert sum(b"1.mp4" in found for found in content.values()) >= 2  # they can be found
    for table in WITH_TEXTS:  # what readers skip files by, and count without reading
        log = Path(store.path(table), "_delta_log").glob("*.json")
        added = [json.loads(line)["add"] for file in log for line in file.open() if line.startswith('{"add"')]
        stats = [json.loads(file["stats"]) for file in added]
        assert sum(file["numRecords"] for file in stats) > 0
        assert {"video_id"} <= {name for file in stats for name in file["minValues"]} <= set(table.bounded)


def read_rows(file: Path) -> bytes:
    """All that is in a Parquet file, uncompressed."""
    return str(parquet.read_table(file).to_pylist()).encode() if file.suffix == ".parquet" else b""


@pytest.mark.parametrize("ends", [True, False])
def test_a_filter_run_that_begins_meanwhile(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: bool
) -> None:
    warehouse, delete = tmp_path / "warehouse", TableStore.delete
    shutil.copytree(store.warehouse, warehouse)
    store = TableStore(store.spark, str(warehouse))
    found = forget.find(store, ["3.mp4"], missing=False)
    with monkeypatch.context() as patched, ExitStack() as begun:

        def beginning(store: TableStore, table: tables.Table, matching: Column) -> None:
            if table is tables.DESCRIPTIONS:
                shutil.copytree(warehouse / "filters" / "default", warehouse / "filters" / "new")
                if not ends:
                    begun.enter_context(claimed(str(warehouse), "filter-new"))
            delete(store, table, matching)

        patched.setattr(TableStore, "delete", beginning)
        if not ends:
            begun.enter_context(pytest.raises(WarehouseError, match=r"another run is at this \(filter-new,"))
        assert forget.run(store, found) == ("default", "late", "new")
    if not ends:  # the same again does the rest
        assert forget.run(store, found) == ("default", "late", "new")
    for one, table in ((store, tables.VIDEOS), (store, tables.COLLECTION), (store.of_run("new"), tables.COLLECTION)):
        assert held(one, table) == {0, 1, 2}


def test_what_filters_had_made_is_made_anew(store: TableStore, tmp_path: Path) -> None:
    assert states(store)["collection"] == states(store)["filter"] == "collection changed since"
    filter.run(store, load_settings(assignments=ONE_STEP))
    neighbors = store.read(tables.NEIGHBORS).select(F.explode("neighbor_ids").alias("id")).where("id >> 24 > 3")
    assert neighbors.isEmpty()

    # Ids are not given again.
    (tmp_path / "new.mp4").write_bytes(b"new")
    ingest.run(store, load_settings(), [str(tmp_path / "new.mp4")])
    assert held(store, tables.VIDEOS) == {0, 1, 2, 3, 6}
