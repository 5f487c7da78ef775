"""Tables are created as declared, written in one commit, and refused where they do not fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import deltalake
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from avlib import tables
from avlib.errors import ParameterError, WarehouseError
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
