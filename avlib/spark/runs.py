"""The record of what ran: settings, versions, time. A stage whose record still fits is not run again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import functions as F

import avlib
from avlib.config import Section, hash_of
from avlib.spark.store import TableStore, spark_schema
from avlib.tables import RUNS, Table


@dataclass(frozen=True)
class Work:
    """What a stage is about to do: enough to tell whether it has been done.

    inputs, outputs: the tables it reads and writes.  settings: the sections it depends on.
    """

    stage: str
    inputs: Sequence[Table]
    outputs: Sequence[Table]
    settings: Sequence[Section]
    filter_name: str = ""

    def input_versions(self, store: TableStore) -> dict[str, int]:
        """Delta versions of the input tables that exist."""
        return _versions(store, self.inputs)

    def settings_values(self) -> list[object]:
        """The settings as plain values."""
        return [section.model_dump(mode="json") for section in self.settings]


def is_done(store: TableStore, work: Work) -> bool:
    """Whether the newest record of this work has the same settings and inputs, and its outputs are untouched."""
    if not store.exists(RUNS):
        return False
    same_work = (F.col("stage") == work.stage) & (F.col("filter_name") == work.filter_name)
    newest = store.read(RUNS).where(same_work).orderBy(F.desc("started")).first()
    if newest is None or newest["fingerprint"] != _fingerprint(work, work.input_versions(store)):
        return False
    outputs = _versions(store, work.outputs)
    return bool(outputs) and newest["outputs"] == outputs


class Recorder:
    """Times a piece of work and writes its row in `runs`."""

    def __init__(self, store: TableStore, work: Work) -> None:
        self._store, self._work = store, work
        self._inputs = work.input_versions(store)
        self._started = time.monotonic()

    def finish(self, summary: str) -> None:
        """Record the work as done."""
        work, seconds = self._work, time.monotonic() - self._started
        row = (
            work.stage,
            work.filter_name,
            _fingerprint(work, self._inputs),
            self._inputs,
            _versions(self._store, work.outputs),
            json.dumps(work.settings_values()),
            avlib.__version__,
            datetime.now(UTC) - timedelta(seconds=seconds),
            seconds,
            summary,
        )
        self._store.append(RUNS, self._store.spark.createDataFrame([row], schema=spark_schema(RUNS)))


def _versions(store: TableStore, tables: Sequence[Table]) -> dict[str, int]:
    found = {table.name: store.version(table) for table in tables}
    return {name: version for name, version in found.items() if version is not None}


def _fingerprint(work: Work, inputs: dict[str, int]) -> str:
    return hash_of([work.stage, work.filter_name, avlib.__version__, inputs, work.settings_values()])
