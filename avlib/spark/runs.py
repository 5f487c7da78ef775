"""Whether work has been done, and the record of what ran: settings, versions, time, rows, bytes, memory.

Work is done where each of its outputs was written last from these very inputs and settings, which its commit says
(see avlib.table_log). The table `runs` is for people, and for `avlib status`.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import Row
from pyspark.sql import functions as F

import avlib
from avlib.config import Section, hash_of
from avlib.errors import WarehouseError
from avlib.spark import memory
from avlib.spark.progress import grouped, warn
from avlib.spark.store import TableStore, spark_schema
from avlib.table_log import Note, commits
from avlib.tables import RUNS, Table

_WAITS_S = 300.0  # for others that enter theirs: long, as the work is done and only its record is missing


@dataclass(frozen=True)
class Step:
    """The rows of one step of a table."""

    table: Table
    step: int


@dataclass(frozen=True)
class Work:
    """What a stage is about to do: enough to tell whether it has been done.

    inputs, outputs: the tables it reads and writes.  settings: what of the settings it depends on.  step: of a
    strategy, where it is part of one: then of its outputs that step alone.
    """

    stage: str
    inputs: Sequence[Table | Step]
    outputs: Sequence[Table]
    settings: Sequence[Section | str | bool]
    filter_name: str = ""
    step: int | None = None

    def input_versions(self, store: TableStore) -> dict[str, int]:
        """The Delta versions that changed the inputs last, of those that exist."""
        found = {}
        for given in self.inputs:
            table, step = (given.table, given.step) if isinstance(given, Step) else (given, None)
            if (change := store.last_change(table, step=step)) is not None:
                found[table.name if step is None else f"{table.name}/{step}"] = change.version
        return found

    def output_versions(self, store: TableStore) -> dict[str, int]:
        """The same of the outputs."""
        changes = {table.name: store.last_change(table, step=self.step) for table in self.outputs}
        return {name: change.version for name, change in changes.items() if change is not None}

    def settings_values(self) -> list[object]:
        """The settings as plain values."""
        return [one.model_dump(mode="json") if isinstance(one, Section) else one for one in self.settings]

    def fingerprint(self, store: TableStore) -> str:
        """Hash of all that decides the rows: equal for the same work, on the tables as they are."""
        versions = self.input_versions(store)
        ids = []  # versions begin anew where a table was removed and made again
        for given in self.inputs:
            table = given.table if isinstance(given, Step) else given
            ids.append(store.table_id(table) if store.exists(table) else "")
        return hash_of([self.stage, self.filter_name, avlib.__version__, ids, versions, self.settings_values()])

    def note(self, store: TableStore, *, said: str = "") -> Note:
        """What goes with the commits of the outputs. Ask for it before anything is read."""
        return Note(self.fingerprint(store), said=said)


def is_done(store: TableStore, work: Work) -> bool:
    """Whether each output was written last from the inputs and settings as they are."""
    wanted = work.fingerprint(store)
    changes = [store.last_change(table, step=work.step) for table in work.outputs]
    return all(change is not None and change.note.made_from == wanted for change in changes)


def newest_record(store: TableStore, stage: str, filter_name: str = "") -> Row | None:
    """The newest record of a stage in `runs`."""
    if not store.exists(RUNS):
        return None
    of_stage = (F.col("stage") == stage) & (F.col("filter_name") == filter_name)
    return store.read(RUNS).where(of_stage).orderBy(F.desc("started")).first()


def is_recorded(store: TableStore, work: Work, *, same_work: bool = True) -> bool:
    """Whether the outputs are as the newest record of this stage says; of this very work, unless other will do."""
    newest = newest_record(store, work.stage, work.filter_name)
    if newest is None or newest["outputs"] != work.output_versions(store):
        return False
    return not same_work or newest["fingerprint"] == work.fingerprint(store)


@dataclass
class Record:
    """summary: what came of it, in a few words; None: nothing was to be done, and nothing is recorded."""

    summary: str | None = None


@contextmanager
def recorded(store: TableStore, work: Work) -> Iterator[Record]:
    """Time the work inside the block, and enter it in `runs`. Of work inside other work all rows are entered together.

    Raises WarehouseError where a disk is full, naming it.
    """
    made_from = (work.fingerprint(store), work.input_versions(store))
    before = _newest_versions(store, work)
    started, peak, record, failed = time.monotonic(), memory.begin(store.jvm_process), Record(), True
    store.recording += 1
    try:
        with store.full_disk_named(), grouped(store.spark, work.stage):
            yield record
        failed = False
    finally:
        memory.end(peak, store.jvm_process)
        store.recording -= 1
        if not failed and record.summary is not None:
            row = (*_row(work, made_from, work.output_versions(store)), record.summary)
            seconds = time.monotonic() - started
            began = datetime.now(UTC) - timedelta(seconds=seconds)
            took = (peak.driver_bytes or None, peak.worker_bytes or None)
            store.finished.append((*row, began, seconds, *_written(store, work, before), *took))
        if not store.recording:
            with suppress(*([Exception] if failed else [])):  # the first error is the one to be told
                _enter(store)


def _enter(store: TableStore) -> None:
    """Append the rows that wait, alone: commits of two processes to one local table may overwrite one another."""
    if not store.finished:
        return
    with store.full_disk_named(), ExitStack() as claims:
        try:
            claims.enter_context(store.claim(RUNS.name, wait_s=_WAITS_S))
        except WarehouseError as refusal:  # the work is done all the same
            warn(f"not entered in `runs`: {refusal}")
            return
        store.append(RUNS, store.spark.createDataFrame(store.finished, schema=spark_schema(RUNS)))
        store.finished = []


def _row(work: Work, made_from: tuple[str, dict[str, int]], outputs: dict[str, int]) -> tuple[object, ...]:
    """What the record says of the work itself."""
    made = (*made_from, outputs, json.dumps(work.settings_values()), avlib.__version__)
    return (work.stage, work.filter_name, work.step, *made, socket.gethostname())


def _newest_versions(store: TableStore, work: Work) -> dict[str, int]:
    return {table.name: -1 if (newest := store.version(table)) is None else newest for table in work.outputs}


def _written(store: TableStore, work: Work, before: dict[str, int]) -> tuple[int, int]:
    """Rows and bytes written into the outputs since some versions."""
    rows = size_bytes = 0
    for table in work.outputs:
        newest = store.version(table)
        for commit in commits(store.path(table), newest, after=before[table.name]) if newest is not None else ():
            rows, size_bytes = rows + commit.rows, size_bytes + commit.size_bytes
    return rows, size_bytes
