"""The tables of one warehouse, read and written through Spark: the only place that knows where rows lie.

Every write is one Delta commit: a reader sees all of it or none of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from avlib.tables import SCHEMA_VERSION, SCHEMA_VERSION_PROPERTY, VIDEOS, Table
from avlib.warehouse import check_filter_name, missing_table, normalise_uri, wrong_schema_version

_TASKS_PER_SLOT = 16


def spark_schema(table: Table) -> StructType:
    """The declared Arrow schema as Spark's."""
    return from_arrow_schema(table.schema)


class TableStore:
    """Reads and writes the declared tables of one warehouse, for one filter run.

    warehouse: a path or URI.  name: the filter run, for the tables that exist once per run.
    Raises WarehouseError where the warehouse was written with another schema version.
    """

    def __init__(self, spark: SparkSession, warehouse: str, *, name: str = "default") -> None:
        self.spark = spark
        self.warehouse = normalise_uri(warehouse)
        self.name = check_filter_name(name)
        self._check_schema_version()

    def path(self, table: Table) -> str:
        """Where a table lies."""
        return table.path(self.warehouse, self.name)

    def exists(self, table: Table) -> bool:
        """Whether the table has been written yet."""
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def version(self, table: Table) -> int | None:
        """The table's Delta version: changes with every commit. None where there is no table."""
        if not self.exists(table):
            return None
        jvm = self.spark._jvm
        assert jvm is not None
        # The table's history would say so too, by a Spark job of its own, fifty times as slow.
        log = jvm.org.apache.spark.sql.delta.DeltaLog
        return int(log.forTableWithSnapshot(self.spark._jsparkSession, self.path(table))._2().version())

    def read(self, table: Table, *, step: int | None = None) -> DataFrame:
        """All rows of a table, or those of one step, without the step column."""
        if not self.exists(table):
            raise missing_table(table, self.warehouse)
        rows = self.spark.read.format("delta").load(self.path(table))
        return rows if step is None else rows.where(F.col("step") == step).drop("step")

    def append(self, table: Table, rows: DataFrame) -> None:
        """Add rows, in one commit."""
        self._writer(table, rows).mode("append").save(self.path(table))

    def overwrite(self, table: Table, rows: DataFrame) -> None:
        """Replace all rows, in one commit."""
        self._writer(table, rows).mode("overwrite").save(self.path(table))

    def write_step(self, table: Table, rows: DataFrame, *, step: int, note: str = "") -> None:
        """Replace the rows of one step, in one commit; those of other steps stay. `rows` has no step column.

        note: kept with the commit, as the userMetadata of the table's history.
        """
        stepped = rows.withColumn("step", F.lit(step).cast("int"))
        writer = self._writer(table, stepped).mode("overwrite").option("replaceWhere", f"step = {step}")
        writer.option("userMetadata", note).save(self.path(table))

    def write_experiment(self, table: Table, rows: DataFrame, *, experiment: str) -> None:
        """Replace the rows of one experiment, in one commit; those of others stay. All of `rows` are of it."""
        writer = self._writer(table, rows).mode("overwrite").option("replaceWhere", f"experiment = '{experiment}'")
        writer.save(self.path(table))

    def drop_steps(self, table: Table, *, first: int) -> None:
        """Delete the rows of step `first` and later: what they were made from has changed, or is about to."""
        if self.exists(table) and not self.read(table).where(F.col("step") >= first).isEmpty():
            self._delta(table).delete(F.col("step") >= first)

    def clear(self, table: Table) -> None:
        """Delete all rows, if there are any."""
        if self.exists(table) and not self.read(table).isEmpty():
            self._delta(table).delete()

    def merge(self, table: Table, rows: DataFrame, *, on: str, update: Mapping[str, Column]) -> None:
        """Merge rows by a column: unknown ones are inserted, known ones (`stored`) get the `update` columns."""
        self._create(table)
        same = f"stored.{on} = given.{on}"
        merge = self._delta(table).alias("stored").merge(rows.alias("given"), same)
        merge.whenMatchedUpdate(set=dict(update)).whenNotMatchedInsertAll().execute()

    def delete_matching(self, table: Table, given: DataFrame, condition: str) -> None:
        """Delete the rows (`stored`) for which some row of `given` meets the condition, in one commit."""
        self._delta(table).alias("stored").merge(given.alias("given"), condition).whenMatchedDelete().execute()

    def delete(self, table: Table, condition: Column) -> None:
        """Delete the rows that meet a condition, in one commit; none where no row does."""
        if self.exists(table) and not self.read(table).where(condition).isEmpty():
            self._delta(table).delete(condition)

    def most_tasks(self) -> int:
        """Tasks that work of unequal pieces is dealt to: enough that none is waited for long at the end."""
        return _TASKS_PER_SLOT * self.spark.sparkContext.defaultParallelism

    @contextmanager
    def scratch(self, purpose: str) -> Iterator[str]:
        """A folder of this warehouse for intermediate files, gone when the block ends, however it ends."""
        folder = f"{self.warehouse}/_scratch/{purpose}-{uuid.uuid4().hex}"
        try:
            yield folder
        finally:
            self._remove(folder)

    def _remove(self, folder: str) -> None:
        jvm = self.spark._jvm
        assert jvm is not None
        path = jvm.org.apache.hadoop.fs.Path(folder)
        configuration = self.spark._jsparkSession.sessionState().newHadoopConf()
        path.getFileSystem(configuration).delete(path, True)

    def _delta(self, table: Table) -> DeltaTable:
        return DeltaTable.forPath(self.spark, self.path(table))

    def _writer(self, table: Table, rows: DataFrame):  # type: ignore[no-untyped-def]  # pyspark names no public type
        self._create(table)
        return rows.select(*table.schema.names).write.format("delta")

    def _create(self, table: Table) -> None:
        if self.exists(table):
            return
        builder = (
            DeltaTable.createIfNotExists(self.spark)
            .location(self.path(table))
            .addColumns(spark_schema(table))
            .property(SCHEMA_VERSION_PROPERTY, str(SCHEMA_VERSION))
            # deltalake, DuckDB and polars read neither of these everywhere
            .property("delta.enableDeletionVectors", "false")
            .property("delta.columnMapping.mode", "none")
        )
        for check, condition in table.checks.items():
            builder = builder.property(f"delta.constraints.{check}", condition)
        builder.execute()

    def _check_schema_version(self) -> None:
        if not self.exists(VIDEOS):
            return
        detail = self._delta(VIDEOS).detail().select("properties").first()
        found = None if detail is None else detail["properties"].get(SCHEMA_VERSION_PROPERTY)
        if found != str(SCHEMA_VERSION):
            raise wrong_schema_version(self.warehouse, found)
