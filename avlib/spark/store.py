"""The tables of one warehouse, read and written through Spark: the only place that knows where they lie.

Every write is one Delta commit: a reader sees all of it or none of it.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import delta.exceptions.captured  # noqa: F401 - else conflicts reach Python as Py4JJavaError
import pyarrow as pa
from delta import exceptions as conflicts
from delta.tables import DeltaTable
from pyarrow import parquet
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from avlib.claims import claimed
from avlib.errors import WarehouseError
from avlib.spark.fence import Fence
from avlib.spark.resources import slots
from avlib.storage import (
    filesystem,
    for_spark,
    full_disk,
    is_file,
    is_folder,
    remove_folder,
    remove_if_empty,
    remove_others,
)
from avlib.table_log import Commit, Note, add_action, last_change
from avlib.tables import SCHEMA_VERSION, SCHEMA_VERSION_PROPERTY, VIDEOS, Table
from avlib.warehouse import check_filter_name, missing_table, normalise_uri, not_a_table, wrong_schema_version

_TASKS_PER_SLOT = 16
_FREE_ID = "avlib.first_free_id"
_ATTEMPTS = 6  # at a commit that others get in the way of
_FIRST_PAUSE_S = 0.25
_MOVED_HERE, _MOVED_TOGETHER = 256, 16  # files: on an object store each takes some tenths of a second of waiting
# Where a table is to be made: a log without a commit; files, beside such a log or without one.
_NO_COMMIT_YET = "DELTA_TABLE_NOT_FOUND"
_FILES_BUT_NO_TABLE = ("DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION", "DELTA_MISSING_DELTA_TABLE")
_CONFLICTS = (
    conflicts.ConcurrentAppendException,
    conflicts.ConcurrentDeleteDeleteException,
    conflicts.ConcurrentDeleteReadException,
    conflicts.ConcurrentTransactionException,
    conflicts.ConcurrentWriteException,
    conflicts.DeltaConcurrentModificationException,
    conflicts.MetadataChangedException,
    conflicts.ProtocolChangedException,
)


def spark_schema(table: Table) -> StructType:
    """The declared Arrow schema as Spark's."""
    return from_arrow_schema(table.schema)


def retried(commit: Callable[[], object]) -> None:
    """Do what ends in a commit; where another commit got in its way, do it again, a little later each time."""
    for attempt in range(_ATTEMPTS):
        try:
            commit()
            return
        except _CONFLICTS:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1))


def _moved(place: str, *, folder: str, schema: pa.Schema) -> str:
    """Move a Parquet file into a table's folder; returns the line that the table's log needs of it.

    It may have been moved already, by a task that was lost before it could say so.
    """
    system, source = filesystem(place)
    name = f"part-{source.rpartition('/')[2]}"
    target = f"{filesystem(folder)[1]}/{name}"
    path = source if is_file(place) else target
    with parquet.ParquetFile(path, filesystem=system) as file:
        if not file.schema_arrow.equals(schema):
            raise ValueError(f"{place} has other columns than its table: {file.schema_arrow}")
        footer = file.metadata
    about = system.get_file_info(path)
    if path == source:
        system.move(source, target)
    return add_action(name, footer, size_bytes=about.size, modified_ms=about.mtime_ns // 1_000_000)


class TableStore:
    """Reads and writes the declared tables of one warehouse, for one filter run.

    warehouse: a path or URI.  name: the filter run, for the tables that exist once per run.
    Raises WarehouseError where the warehouse was written with another schema version.
    """

    def __init__(self, spark: SparkSession, warehouse: str, *, name: str = "default") -> None:
        self.spark = spark
        self.warehouse = normalise_uri(warehouse)
        self.name = check_filter_name(name)
        self.recording = 0  # pieces of work that are under way, one inside the other
        self.finished: list[tuple[object, ...]] = []  # rows of `runs` that wait for the outermost to end
        self._claims: list[str] = []
        self._fences: list[Fence] = []
        self.claims_hold = True  # of the work that was claimed last: whether other runs were asked
        self._check_schema_version()

    def path(self, table: Table) -> str:
        """Where a table lies."""
        return table.path(self.warehouse, self.name)

    def _spark_path(self, table: Table) -> str:
        return for_spark(self.path(table))

    def exists(self, table: Table) -> bool:
        """Whether the table has been written yet."""
        if DeltaTable.isDeltaTable(self.spark, self._spark_path(table)):
            return True
        # A log that Delta saw while another process made its table it remembers as empty: it is read again.
        return is_folder(f"{self.path(table)}/_delta_log") and int(self._snapshot(table).version()) >= 0

    def version(self, table: Table) -> int | None:
        """The table's Delta version: changes with every commit. None where there is no table."""
        if not self.exists(table):
            return None
        return int(self._snapshot(table).version())

    def table_id(self, table: Table) -> str:
        """What Delta calls the table: another, where it was removed and made again."""
        return str(self._snapshot(table).metadata().id())

    def _snapshot(self, table: Table) -> Any:
        """The table's newest snapshot, an object of the JVM."""
        jvm = self.spark._jvm
        assert jvm is not None
        # The table's history would say so too, by a Spark job of its own, fifty times as slow.
        log = jvm.org.apache.spark.sql.delta.DeltaLog
        return log.forTableWithSnapshot(self.spark._jsparkSession, self._spark_path(table))._2()

    def read(self, table: Table, *, step: int | None = None) -> DataFrame:
        """All rows of a table, or those of one step, without the step column."""
        if not self.exists(table):
            raise missing_table(table, self.warehouse, self.name)
        rows = self.spark.read.format("delta").load(self._spark_path(table))
        return rows if step is None else rows.where(F.col("step") == step).drop("step")

    def last_change(self, table: Table, *, step: int | None = None) -> Commit | None:
        """The newest commit that changed the table's rows, or those of one step; None where there is no table."""
        newest = self.version(table)
        return None if newest is None else last_change(self.path(table), newest, step=step)

    def append(self, table: Table, rows: DataFrame, *, note: Note | None = None) -> None:
        """Add rows, in one commit.  note: kept with it, in the table's history."""
        self._save(table, rows, note or Note(), mode="append")

    def append_files(self, table: Table, files: Sequence[str]) -> None:
        """Add Parquet files of this warehouse to a table as they are, in one commit; they are moved into its folder.

        Nothing is read but their footers: who wrote them has checked the rows. What a kill leaves before the commit is
        no part of the table, as with any write of Delta's, and VACUUM removes it.
        """
        retried(partial(self._create, table))
        fence = self._fence_of(table)
        if fence is not None:
            fence.check(self._transaction_version(table, fence))  # first: a newer run removes files of an older one
        moved = partial(_moved, folder=self.path(table), schema=table.schema)
        if len(files) > _MOVED_HERE:  # thousands of tasks have written them, and thousands move them
            added = self.spark.sparkContext.parallelize(files, min(len(files), self.most_tasks())).map(moved).collect()
        else:
            with ThreadPoolExecutor(_MOVED_TOGETHER) as pool:
                added = list(pool.map(moved, files))
        if added:
            retried(partial(self._commit, table, added, fence))

    def overwrite(self, table: Table, rows: DataFrame, *, note: Note | None = None) -> None:
        """Replace all rows, in one commit."""
        self._save(table, rows, note or Note(), mode="overwrite")

    def write_step(self, table: Table, rows: DataFrame, *, step: int, note: Note | None = None) -> None:
        """Replace the rows of one step, in one commit; those of other steps stay. `rows` has no step column."""
        stepped = rows.withColumn("step", F.lit(step).cast("int"))
        self._save(table, stepped, replace(note or Note(), step=step), mode="overwrite", where=f"step = {step}")

    def write_experiment(self, table: Table, rows: DataFrame, *, experiment: str) -> None:
        """Replace the rows of one experiment, in one commit; those of others stay. All of `rows` are of it."""
        self._save(table, rows, Note(), mode="overwrite", where=f"experiment = '{experiment}'")

    def drop_steps(self, table: Table, *, first: int) -> None:
        """Delete the rows of step `first` and later: what they were made from has changed, or is about to."""
        if self.exists(table) and not self.read(table).where(F.col("step") >= first).isEmpty():
            nothing = self.spark.createDataFrame([], spark_schema(table))
            note = Note(step=first, and_later=True)
            self._save(table, nothing, note, mode="overwrite", where=f"step >= {first}")

    def clear(self, table: Table) -> None:
        """Delete all rows, if there are any."""
        if self.exists(table) and not self.read(table).isEmpty():
            retried(self._delta(table).delete)

    def merge(self, table: Table, rows: DataFrame, *, on: str, update: Mapping[str, Column]) -> None:
        """Merge rows by a column: unknown ones are inserted, known ones (`stored`) get the `update` columns.

        Tried once: where another commit gets in its way, rows made from the table have to be made again (`retried`).
        """
        self._create(table)
        same = f"stored.{on} = given.{on}"
        merge = self._delta(table).alias("stored").merge(rows.alias("given"), same)
        merge.whenMatchedUpdate(set=dict(update)).whenNotMatchedInsertAll().execute()

    def delete_matching(self, table: Table, given: DataFrame, condition: str) -> None:
        """Delete the rows (`stored`) for which some row of `given` meets the condition, in one commit."""
        merge = self._delta(table).alias("stored").merge(given.alias("given"), condition)

        def delete() -> None:
            if fence := self._fence_of(table):
                fence.check(self._transaction_version(table, fence))
            merge.whenMatchedDelete().execute()

        retried(delete)

    def delete(self, table: Table, condition: Column) -> None:
        """Delete the rows that meet a condition, in one commit; none where no row does."""
        if self.exists(table) and not self.read(table).where(condition).isEmpty():
            retried(partial(self._delta(table).delete, condition))

    def compact(self, table: Table) -> tuple[int, int]:
        """Make few large files of many small ones, by Delta's OPTIMIZE. Returns how many there were and are."""
        before = len(self.read(table).inputFiles())
        retried(self._delta(table).optimize().executeCompaction)
        return before, len(self.read(table).inputFiles())

    def of_run(self, name: str) -> TableStore:
        """The same warehouse and claims, for another filter run."""
        other = TableStore(self.spark, self.warehouse, name=name)
        other._claims = self._claims
        return other

    def first_free_id(self) -> int:
        """The video_id above all that have ever been given."""
        if not self.exists(VIDEOS):
            return 0
        highest = self.read(VIDEOS).agg(F.max("video_id")).first()
        in_use = 0 if highest is None or highest[0] is None else int(highest[0]) + 1
        return max(in_use, int(self._properties(VIDEOS).get(_FREE_ID, "0")))

    def keep_ids(self) -> None:
        """Remember which ids have been given, as videos are about to go."""
        free = self.first_free_id()
        place = self._spark_path(VIDEOS)
        self.spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ('{_FREE_ID}' = '{free}')")

    def most_tasks(self) -> int:
        """Tasks that work of unequal pieces is dealt to: enough that none is waited for long at the end."""
        return _TASKS_PER_SLOT * slots(self.spark)

    @contextmanager
    def claim(self, work: str, *, wait_s: float = 0.0) -> Iterator[None]:
        """Hold some work on this warehouse while the block runs; scratch of the same work that was killed goes.

        wait_s: how long to wait for another run. Raises WarehouseError, naming that run, after that.
        """
        if work in self._claims:  # the work is a part of itself
            yield
            return
        with ExitStack() as held:
            with self.full_disk_named():
                asked = claimed(self.warehouse, work, jvm=self.jvm_process, wait_s=wait_s)
                holds = self.claims_hold = held.enter_context(asked)
            self._claims.append(work)
            try:
                yield
            finally:
                self._claims.remove(work)
            if holds:  # else it may be another's
                remove_folder(self._scratch_folder(work))
                remove_if_empty(self._scratch_folder())

    @contextmanager
    def fenced(self, work: str, written: Sequence[Table]) -> Iterator[None]:
        """Keep older runs of this work out of the tables that it writes, from now on: for where claims do not hold.

        In the block and after it, an older run's next append to one of these raises WarehouseError; so does one of this
        run once a newer has begun, and whatever else comes of that: a newer run removes an older one's scratch. What is
        to be done has to be looked for in the block.
        """
        fence = Fence(self.warehouse, work, written)
        for number, table in enumerate(written):
            retried(partial(self._create, table))
            retried(partial(self._commit, table, [], fence, begins=number == 0))
        self._fences.append(fence)
        try:
            yield
        except Exception as error:
            if any(fence.is_overtaken(self._transaction_version(table, fence)) for table in written):
                raise fence.overtaken() from error
            raise
        finally:
            self._fences.remove(fence)

    def claim_filter(self) -> AbstractContextManager[None]:
        """Hold the work on this filter run."""
        return self.claim(f"filter-{self.name}")

    @contextmanager
    def scratch(self, purpose: str, *, resumes: str = "") -> Iterator[str]:
        """A folder of this warehouse for intermediate files, gone when the block ends, however it ends.

        resumes: what the files are made from. Then they stay where the block fails, and the next run with the same
        finds them, if it holds the same claim. Those of other content go.
        """
        of_claim = self._scratch_folder(self._claims[-1] if self._claims else "unclaimed")
        name = f"{purpose}-{resumes or uuid.uuid4().hex}"
        if self._claims:
            remove_others(of_claim, prefix=f"{purpose}-", keep=name)
        folder = f"{of_claim}/{name}"
        try:
            yield folder
        except BaseException:
            if not resumes:
                self._remove_scratch(folder)
            raise
        self._remove_scratch(folder)

    @contextmanager
    def frozen(self, rows: DataFrame, purpose: str, *, few: int = 0) -> Iterator[DataFrame]:
        """The rows as they are now, whatever becomes of tables, files and executors while the block runs.

        They are written to scratch: a local checkpoint is lost with the executor that holds it, and the job with it.
        few: the driver may hold so many instead, which takes less time; what they come from is read twice for more.
        """
        if few and (held := rows.limit(few + 1).toArrow()).num_rows <= few:
            yield self.spark.createDataFrame(held, rows.schema)
            return
        with self.scratch(purpose) as folder:
            rows.write.parquet(for_spark(folder))
            yield self.spark.read.schema(rows.schema).parquet(for_spark(folder))

    def local_folders(self) -> list[str]:
        """Where Spark keeps what does not fit into memory, as far as this machine knows."""
        chosen = os.environ.get("SPARK_LOCAL_DIRS") or self.spark.sparkContext.getConf().get("spark.local.dir")
        return (chosen or tempfile.gettempdir()).split(",")

    @contextmanager
    def full_disk_named(self) -> Iterator[None]:
        """Raises WarehouseError, saying which place it is on, where a disk is full."""
        try:
            yield
        except Exception as error:
            place = full_disk(error, [self.warehouse, *self.local_folders()])
            if place is None:
                raise
            raise WarehouseError(
                f"{place}: no space left on the device; make room there and run the same command again: what is done "
                "is kept"
            ) from error

    @cached_property
    def jvm_process(self) -> int:
        """The process of the driver's JVM."""
        jvm = self.spark._jvm
        assert jvm is not None
        return int(jvm.java.lang.ProcessHandle.current().pid())

    def _scratch_folder(self, *below: str) -> str:
        return "/".join([self.warehouse, "_scratch", *below])

    def _remove_scratch(self, folder: str) -> None:
        remove_folder(folder)
        for emptied in (folder.rpartition("/")[0], self._scratch_folder()):
            remove_if_empty(emptied)

    def _delta(self, table: Table) -> DeltaTable:
        return DeltaTable.forPath(self.spark, self._spark_path(table))

    def _save(self, table: Table, rows: DataFrame, note: Note, *, mode: str, where: str = "") -> None:
        retried(partial(self._create, table))
        writer = rows.select(*table.schema.names).write.format("delta").mode(mode)
        if note != Note():
            writer = writer.option("userMetadata", note.to_json())
        if where:
            writer = writer.option("replaceWhere", where)
        fence = self._fence_of(table)
        if fence is None:
            retried(partial(writer.save, self._spark_path(table)))
            return
        version = fence.follow(self._transaction_version(table, fence))
        writer = writer.option("txnAppId", fence.app).option("txnVersion", version)
        retried(partial(writer.save, self._spark_path(table)))  # Delta skips it where the table is at a version above
        fence.check(self._transaction_version(table, fence))

    def _fence_of(self, table: Table) -> Fence | None:
        return next((fence for fence in self._fences if fence.guards(table)), None)

    def _commit(
        self, table: Table, actions: Sequence[str], fence: Fence | None = None, *, begins: bool = False
    ) -> None:
        """Make actions, as lines of the log, a commit, with the next version of a fence, or the first."""
        jvm = self.spark._jvm
        assert jvm is not None
        delta = jvm.org.apache.spark.sql.delta
        operation = getattr(delta, "DeltaOperations$ManualUpdate$").__getattr__("MODULE$")
        transaction = self._log(table).startTransaction()
        if fence is not None:
            seen = int(transaction.txnVersion(fence.app))  # from here on another commit with one gets in the way
            actions = [*actions, fence.action(fence.begin(seen) if begins else fence.follow(seen))]
        parsed = [delta.actions.Action.fromJson(action) for action in actions]
        transaction.commit(jvm.PythonUtils.toSeq(parsed), operation)

    def _transaction_version(self, table: Table, fence: Fence) -> int:
        return int(self._log(table).startTransaction().txnVersion(fence.app))

    def _log(self, table: Table) -> Any:
        """The table's log, an object of the JVM."""
        jvm = self.spark._jvm
        assert jvm is not None
        return jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self._spark_path(table))

    def _create(self, table: Table) -> None:
        if self.exists(table):
            return
        builder = (
            DeltaTable.createIfNotExists(self.spark)
            .location(self._spark_path(table))
            .addColumns(spark_schema(table))
            .property(SCHEMA_VERSION_PROPERTY, str(SCHEMA_VERSION))
            # deltalake, DuckDB and polars read neither of these everywhere
            .property("delta.enableDeletionVectors", "false")
            .property("delta.columnMapping.mode", "none")
            .property("delta.dataSkippingStatsColumns", ",".join(table.bounded))
            # Delta would drop commits after 30 days, among them those that say what rows were made from
            .property("delta.enableExpiredLogCleanup", "false")
        )
        for check, condition in table.checks.items():
            builder = builder.property(f"delta.constraints.{check}", condition)
        for attempt in range(_ATTEMPTS):
            try:
                builder.execute()
                return
            except AnalysisException as error:
                if error.getCondition() not in (_NO_COMMIT_YET, *_FILES_BUT_NO_TABLE) or attempt == _ATTEMPTS - 1:
                    raise
                found = error.getCondition()
            # Another run is making the table now, has just made it, or was cut off when it did: that takes some seconds
            # to tell, where no claims keep the other out.
            time.sleep(_FIRST_PAUSE_S * 2**attempt)
            if self.exists(table):
                return
            if attempt < _ATTEMPTS - 3:
                continue
            if found in _FILES_BUT_NO_TABLE:
                raise not_a_table(self.path(table))
            remove_folder(f"{self.path(table)}/_delta_log")

    def _properties(self, table: Table) -> dict[str, str]:
        jvm = self.spark._jvm
        assert jvm is not None
        # Asking for the table's detail() would say so too, by a Spark job: seconds, where Spark has just started.
        return dict(jvm.scala.jdk.javaapi.CollectionConverters.asJava(self._snapshot(table).metadata().configuration()))

    def _check_schema_version(self) -> None:
        if not self.exists(VIDEOS):
            return
        found = self._properties(VIDEOS).get(SCHEMA_VERSION_PROPERTY)
        if found != str(SCHEMA_VERSION):
            raise wrong_schema_version(self.warehouse, found)
