"""Tables are created as declared, written in one commit, and refused where they do not fit."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import deltalake
import numpy as np
import pyarrow as pa
import pytest
from py4j.protocol import Py4JJavaError
from pyarrow import parquet
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from avlib import tables
from avlib.errors import ParameterError, WarehouseError
from avlib.identity import sample_ids
from avlib.spark.fence import Fence
from avlib.spark.sample_files import SampleFiles
from avlib.spark.store import TableStore, spark_schema

pytestmark = pytest.mark.spark

EDGES = "src bigint, dst bigint, distance float"


def test_declared_tables_can_be_created_and_read_without_spark(store: TableStore) -> None:
    for table in tables.ALL:
        store.append(table, store.spark.createDataFrame([], spark_schema(table)))
        delta = deltalake.DeltaTable(store.path(table))
        assert delta.to_pyarrow_table().schema.names == table.schema.names
        for check, condition in table.checks.items():
            assert delta.metadata().configuration[f"delta.constraints.{check}"] == condition
        assert delta.protocol().min_reader_version == 1  # no deletion vectors, no column mapping


@pytest.mark.parametrize("left", [None, ".00000000000000000000.json.da6a7bd7.tmp"])
def test_a_creation_that_was_cut_off_is_done_again(store: TableStore, left: str | None) -> None:
    log = Path(store.path(tables.MUTUAL_EDGES), "_delta_log")
    log.mkdir(parents=True)
    if left:
        (log / left).touch()
    store.append(tables.MUTUAL_EDGES, store.spark.createDataFrame([(0, 1, 2, 0.5)], f"step int, {EDGES}"))
    assert store.read(tables.MUTUAL_EDGES).count() == 1 and not (left and (log / left).exists())


def test_a_path_is_local_whatever_hadoop_takes_it_for(spark: SparkSession, tmp_path: Path) -> None:
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]
    before = hadoop.get("fs.defaultFS")
    (tmp_path / "elsewhere").mkdir()
    link = f"fs.viewfs.mounttable.default.link.{tempfile.gettempdir()}"  # Spark's own warehouse, which nothing uses
    hadoop.set(link, f"file:{tmp_path}/elsewhere")
    hadoop.set("fs.defaultFS", "viewfs:///")  # as HDFS would be: it has none of the files here
    try:
        with pytest.raises(PySparkException):
            spark.read.parquet(str(tmp_path))
        store = TableStore(spark, str(tmp_path / "a warehouse #1"))
        store.append(tables.VIDEOS, spark.createDataFrame([], spark_schema(tables.VIDEOS)))
        store.keep_ids()
        store.append(tables.MUTUAL_EDGES, spark.createDataFrame([(0, 1, 2, 0.5)], f"step int, {EDGES}"))
        assert store.read(tables.MUTUAL_EDGES).count() == 1
        with store.frozen(store.read(tables.MUTUAL_EDGES), "rows") as frozen:
            assert frozen.count() == 1
        assert Path(store.path(tables.MUTUAL_EDGES), "_delta_log").is_dir()
        assert hadoop.get("fs.defaultFS") == "viewfs:///"  # it is the session's
    finally:
        hadoop.set("fs.defaultFS", before)
        hadoop.unset(link)


@pytest.mark.parametrize("few", [2, 3])
def test_frozen_rows_stay_as_they_are(store: TableStore, few: int) -> None:
    rows = store.spark.createDataFrame([(0, 1, 2, 0.5), (0, 2, 3, 0.5), (0, 3, 4, 0.5)], f"step int, {EDGES}")
    store.append(tables.MUTUAL_EDGES, rows)
    with store.frozen(store.read(tables.MUTUAL_EDGES), "rows", few=few) as frozen:
        assert Path(store.warehouse, "_scratch").exists() == (few == 2)
        store.clear(tables.MUTUAL_EDGES)
        assert sorted(row["src"] for row in frozen.collect()) == [1, 2, 3] and frozen.columns == rows.columns


@pytest.mark.parametrize("beside", [".", "_delta_log"])
def test_files_where_a_table_is_to_be_made_are_told(store: TableStore, beside: str) -> None:
    foreign = Path(store.path(tables.MUTUAL_EDGES), "holiday.jpg")
    (foreign.parent / beside).mkdir(parents=True)
    foreign.touch()
    with pytest.raises(WarehouseError, match=r"mutual_edges holds files but no Delta table: move them away"):
        store.append(tables.MUTUAL_EDGES, store.spark.createDataFrame([], f"step int, {EDGES}"))
    assert foreign.exists()


@pytest.mark.parametrize("beside", [".", "_delta_log"])
def test_a_table_made_between_two_looks_is_taken(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    rows = store.spark.createDataFrame([(0, 1, 2, 0.5)], f"step int, {EDGES}")
    place = Path(store.path(tables.MUTUAL_EDGES))
    (place / beside).mkdir(parents=True)
    (place / "part-0.parquet").touch()  # another's first rows are there, its first commit not yet

    def commit(pause_s: float) -> None:
        monkeypatch.undo()
        (place / "part-0.parquet").unlink()
        store.append(tables.MUTUAL_EDGES, rows)

    # In the store alone: another thread's sleep would commit, too.
    monkeypatch.setattr("avlib.spark.store.time", SimpleNamespace(sleep=commit))
    store.append(tables.MUTUAL_EDGES, rows)
    assert store.read(tables.MUTUAL_EDGES).count() == 2


def test_a_table_that_another_process_was_making_is_seen_once_it_is_made(store: TableStore) -> None:
    place = Path(store.path(tables.VIDEOS))
    (place / "_delta_log").mkdir(parents=True)
    assert not store.exists(tables.VIDEOS) and store.version(tables.VIDEOS) is None  # Delta remembers what it saw
    deltalake.write_deltalake(place, tables.VIDEOS.schema.empty_table())
    assert store.exists(tables.VIDEOS) and store.version(tables.VIDEOS) == 0


def test_several_may_make_and_change_a_table_at_once(store: TableStore) -> None:
    def append(number: int) -> None:
        rows = store.spark.createDataFrame([(0, number, number + 1, 0.5)], f"step int, {EDGES}")
        store.append(tables.MUTUAL_EDGES, rows)

    def delete(number: int) -> None:  # from the same file as the others: one commit gets in the way of the next
        store.delete(tables.MUTUAL_EDGES, F.col("src") == number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(append, range(4)))
        assert sorted(row["src"] for row in store.read(tables.MUTUAL_EDGES).collect()) == list(range(4))
        store.compact(tables.MUTUAL_EDGES)
        list(threads.map(delete, range(4)))
    assert store.read(tables.MUTUAL_EDGES).count() == 0


def samples(video: int, count: int) -> pa.RecordBatch:
    """Some samples of a video, one second apart."""
    descriptors = pa.FixedSizeListArray.from_arrays(pa.array(np.full(3 * count, 0.5, np.float32)), 3)
    columns = {
        "sample_id": pa.array(sample_ids(video, np.arange(count))),
        "attempt": pa.array([1] * count, pa.int32()),
        "time_s": pa.array(np.arange(count) + 0.5),
        "rms": pa.array(np.full(count, 0.25, np.float32)),
    }
    lists = dict.fromkeys(("visual", "audio_mfcc65", "audio_context"), descriptors.cast(tables.DESCRIPTOR))
    return pa.RecordBatch.from_pydict(columns | lists, schema=tables.SAMPLES.schema)


@pytest.mark.parametrize("moved_by", ["driver", "tasks"])
def test_files_become_a_tables_own(
    store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved_by: str
) -> None:
    if moved_by == "tasks":
        monkeypatch.setattr("avlib.spark.store._MOVED_HERE", 1)
    store.append_files(tables.SAMPLES, [])
    assert store.read(tables.SAMPLES).isEmpty()
    files = []
    for video, count in ((0, 5), (1, 7)):
        written = SampleFiles(str(tmp_path / "made"))
        written.add(samples(video, count))
        files += written.finish()
    # As by a task that was lost after this move.
    Path(files[0]).rename(f"{store.path(tables.SAMPLES)}/part-{Path(files[0]).name}")
    store.append_files(tables.SAMPLES, files)
    expected = pa.Table.from_batches([samples(0, 5), samples(1, 7)])
    rows = store.read(tables.SAMPLES).orderBy("sample_id")
    assert rows.toArrow().to_pylist() == expected.to_pylist()
    delta = deltalake.DeltaTable(store.path(tables.SAMPLES))
    assert delta.to_pyarrow_table().sort_by("sample_id").to_pylist() == expected.to_pylist()
    assert not any((tmp_path / "made").iterdir())
    last = store.last_change(tables.SAMPLES)
    assert last is not None and last.rows == 12
    assert last.size_bytes == sum(file.stat().st_size for file in Path(store.path(tables.SAMPLES)).glob("*.parquet"))
    # What the log tells of each file: counted unread, and left out where its ids are others.
    ids = pa.table(delta.get_add_actions(flatten=True)).to_pydict()
    assert sorted(zip(ids["num_records"], ids["min.sample_id"], ids["max.sample_id"], strict=True)) == [
        (5, 0, 4),
        (7, *sample_ids(1, np.array([0, 6])).tolist()),
    ]
    assert sorted(zip(ids["min.time_s"], ids["max.time_s"], strict=True)) == [(0.5, 4.5), (0.5, 6.5)]
    # They are rows as any other: deleted, laid out anew, counted.
    store.delete(tables.SAMPLES, F.col("sample_id") < 3)
    assert store.compact(tables.SAMPLES) == (2, 1)
    assert store.read(tables.SAMPLES).count() == 9
    store.spark.sql(f"VACUUM delta.`{store.path(tables.SAMPLES)}`")
    assert store.read(tables.SAMPLES).count() == 9


def made(folder: Path, video: int) -> list[str]:
    written = SampleFiles(str(folder))
    written.add(samples(video, 3))
    return written.finish()


def test_an_older_run_is_fenced_off(store: TableStore, tmp_path: Path) -> None:
    """Of either table: by whole files, rows and deletions; and nothing that a fence does changes rows."""
    newer = TableStore(store.spark, store.warehouse)
    rows = store.spark.createDataFrame([(0, 1, 2, 0.5)], f"step int, {EDGES}")
    guarded = (tables.SAMPLES, tables.MUTUAL_EDGES)
    with store.fenced("describe", guarded):
        store.append_files(tables.SAMPLES, made(tmp_path, 0))
        store.append(tables.MUTUAL_EDGES, rows)
        changed = [store.last_change(table) for table in guarded]
        with newer.fenced("describe", guarded):
            assert [store.last_change(table) for table in guarded] == changed
            ended = pytest.raises(WarehouseError, match="another describe has begun here since this one did")
            with ended:
                store.append_files(tables.SAMPLES, made(tmp_path, 1))
            with ended:
                store.append(tables.MUTUAL_EDGES, rows)
            with ended:
                store.delete_matching(tables.SAMPLES, rows, "true")
            newer.append_files(tables.SAMPLES, made(tmp_path, 2))
            newer.append(tables.MUTUAL_EDGES, rows)
            newer.append(tables.MUTUAL_EDGES, rows)
            newer.append(tables.STEP_STATS, newer.spark.createDataFrame([], spark_schema(tables.STEP_STATS)))
            newer.append_files(tables.SAMPLES, made(tmp_path, 3))
    videos = {row["sample_id"] >> 24 for row in store.read(tables.SAMPLES).collect()}
    assert videos == {0, 2, 3} and store.read(tables.MUTUAL_EDGES).count() == 3
    with store.fenced("describe", guarded):  # it may begin again
        store.append(tables.MUTUAL_EDGES, rows)
    assert store.read(tables.MUTUAL_EDGES).count() == 4


def test_a_run_that_begins_during_a_commit_ends_the_older(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = TableStore(store.spark, store.warehouse)
    rows = store.spark.createDataFrame([(0, 1, 2, 0.5)], f"step int, {EDGES}")
    seen = TableStore._transaction_version

    def seen_too_early(self: TableStore, table: tables.Table, fence: Fence) -> int:
        version = seen(self, table, fence)
        if self is store and not begun:
            begun.append(True)
            with newer.fenced("describe", [tables.MUTUAL_EDGES]):
                newer.append(tables.MUTUAL_EDGES, rows)
        return version

    begun: list[bool] = []
    monkeypatch.setattr(TableStore, "_transaction_version", seen_too_early)
    with store.fenced("describe", [tables.MUTUAL_EDGES]), pytest.raises(WarehouseError, match="another describe"):
        store.append(tables.MUTUAL_EDGES, rows)
    assert store.read(tables.MUTUAL_EDGES).count() == 1


def test_files_of_other_columns_are_no_part_of_a_table(store: TableStore, tmp_path: Path) -> None:
    place = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"sample_id": [1]}), place)
    with pytest.raises(ValueError, match=r"other\.parquet has other columns than its table"):
        store.append_files(tables.SAMPLES, [str(place)])
    assert store.read(tables.SAMPLES).isEmpty() and place.exists()
    assert {check for table in (tables.SAMPLES, tables.AUDIO_LEARNED) for check in table.checks} == {"described"}
    with pytest.raises(ValueError, match=r"visual of a sample of videos \[0\] has numbers that are not finite"):
        infinite = samples(0, 1).set_column(4, "visual", pa.array([[1.0, float("inf")]], tables.DESCRIPTOR))
        written = SampleFiles(str(tmp_path))
        written.add(infinite.cast(tables.SAMPLES.schema))
        written.finish()
    with pytest.raises(ValueError, match=r"a sample of videos \[0\] has an empty visual"):
        empty = samples(0, 1).set_column(4, "visual", pa.array([[]], tables.DESCRIPTOR))
        written = SampleFiles(str(tmp_path))
        written.add(empty.cast(tables.SAMPLES.schema))
        written.finish()


def test_a_step_is_replaced_and_the_others_stay(store: TableStore) -> None:
    def edges(*rows: tuple[int, int, float]):  # type: ignore[no-untyped-def]
        return store.spark.createDataFrame(list(rows), EDGES)

    store.write_step(tables.MUTUAL_EDGES, edges((1, 2, 0.5), (2, 3, 0.5)), step=0)
    store.write_step(tables.MUTUAL_EDGES, edges((1, 2, 0.25)), step=1)
    store.write_step(tables.MUTUAL_EDGES, edges((4, 5, 1.0)), step=0)
    assert [tuple(row) for row in store.read(tables.MUTUAL_EDGES, step=0).collect()] == [(4, 5, 1.0)]
    assert [tuple(row) for row in store.read(tables.MUTUAL_EDGES, step=1).collect()] == [(1, 2, 0.25)]


def test_a_constraint_holds_and_nothing_is_written(store: TableStore) -> None:
    crossed = store.spark.createDataFrame([(3, 2, 0.5)], EDGES)
    with pytest.raises((PySparkException, Py4JJavaError), match="canonical"):
        store.write_step(tables.MUTUAL_EDGES, crossed, step=0)
    assert store.read(tables.MUTUAL_EDGES).count() == 0


def test_a_missing_table_names_the_command_that_writes_it(store: TableStore) -> None:
    with pytest.raises(WarehouseError, match="run `avlib filter"):
        store.read(tables.COLLECTION)


def test_another_schema_version_is_refused(spark: SparkSession, store: TableStore) -> None:
    store.append(tables.VIDEOS, spark.createDataFrame([], spark_schema(tables.VIDEOS)))
    place = store.path(tables.VIDEOS)
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ('{tables.SCHEMA_VERSION_PROPERTY}' = '999')")
    with pytest.raises(WarehouseError, match="schema version 999"):
        TableStore(spark, store.warehouse)


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "a/b"])
def test_a_filter_name_is_a_plain_word(spark: SparkSession, tmp_path: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="--name"):
        TableStore(spark, str(tmp_path), name=name)


def test_scratch_is_gone_however_the_block_ends(store: TableStore) -> None:
    with pytest.raises(RuntimeError), store.scratch("test") as folder:
        store.spark.range(3).write.parquet(folder)
        assert Path(folder).is_dir()
        raise RuntimeError
    assert not Path(folder).exists()


def test_scratch_that_can_be_gone_on_from_stays_after_a_failure(store: TableStore) -> None:
    def fail_in(resumes: str) -> Path:
        with pytest.raises(RuntimeError), store.claim("work"), store.scratch("test", resumes=resumes) as folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / str(len(list(Path(folder).iterdir())))).touch()
            raise RuntimeError
        return Path(folder)

    first = fail_in("a")
    assert fail_in("a") == first and len(list(first.iterdir())) == 2  # the second found what the first left
    other = fail_in("b")
    assert other.exists() and not first.exists()  # made from other things
    with store.claim("other work"):
        pass
    assert other.exists()
    with store.claim("work"):
        pass
    assert not Path(store.warehouse, "_scratch").exists()
