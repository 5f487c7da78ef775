"""Round tables: every round of an iteration is written, checked and read again, so that no lineage grows.

A round is a folder of Parquet files. Once they are there, the round is entered in a journal beside them, with what
the table holds: rows and a checksum, measured while it was written. A driver that comes back after a kill goes on
from the last round whose table still holds that.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from avlib.errors import WarehouseError
from avlib.spark.progress import say
from avlib.spark.written import read_back
from avlib.storage import for_spark, is_file, read_whole, remove_folder, write_whole

_KEPT = 3  # rounds on disk: the newest, and two to fall back to


@dataclass(frozen=True)
class Round:
    """What is known of a round: its number from 0, its rows and their checksum, whatever their order.

    settled: the same rows as the round before, or known to be the last.
    """

    number: int
    rows: int
    checksum: str
    settled: bool


class Rounds:
    """The rounds of one iteration over one input.

    folder: theirs alone, but for files that may go with them.  source: identifies the input, and whatever else
    decides what the rounds hold; the folder of another source is removed.  schema: of all rounds, in Spark's words.
    """

    def __init__(self, spark: SparkSession, folder: str, *, source: str, schema: str) -> None:
        self._spark = spark
        self._folder = folder
        self._journal = f"{folder}/journal.json"
        self._source = source
        self._schema = schema
        self._rounds: list[Round] = []
        try:
            written = json.loads(read_whole(self._journal).to_pybytes()) if is_file(self._journal) else {}
            if written.get("source") == source:
                self._rounds = [Round(**entry) for entry in written["rounds"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            say("  the journal of the rounds is damaged: beginning anew")
        if not self._rounds:
            remove_folder(folder)

    def last_whole(self) -> Round | None:
        """The newest round whose table holds what it held when it was written. Newer ones are forgotten."""
        while self._rounds:
            newest = self._rounds[-1]
            if self._holds(newest):
                say(f"  going on after round {newest.number}, which an earlier run has left")
                return newest
            self._rounds.pop()
            before = f"round {self._rounds[-1].number}" if self._rounds else "the beginning"
            say(f"  the table of round {newest.number} is missing or damaged: going back to {before}")
        return None

    def read(self, one: Round) -> DataFrame:
        """The rows of a round, as `read_back` reads them."""
        return read_back(self._spark, self._place(one.number), self._schema)

    def write(self, rows: DataFrame, *, settled: bool = False) -> Round:
        """Write the next round and check what can be read of it. Raises WarehouseError where that is not the same."""
        number = self._rounds[-1].number + 1 if self._rounds else 0
        seen = Observation()
        rows.observe(seen, *_content(rows)).write.mode("overwrite").parquet(for_spark(self._place(number)))
        new = Round(number, seen.get["rows"], seen.get["checksum"], settled)
        if self._rounds and _measured(self._rounds[-1]) == _measured(new):
            new = replace(new, settled=True)
        if not self._holds(new):
            raise WarehouseError(
                f"{self._place(number)}: reading gives other rows than the {new.rows} written; check the storage, "
                "then run the step again"
            )
        self._rounds = [*self._rounds[1 - _KEPT :], new]
        entries = {"source": self._source, "rounds": [asdict(one) for one in self._rounds]}
        write_whole(self._journal, json.dumps(entries).encode())
        remove_folder(self._place(number - _KEPT))
        return new

    def _place(self, number: int) -> str:
        return f"{self._folder}/{number:04d}"

    def _holds(self, one: Round) -> bool:
        try:
            return content(self.read(one)) == _measured(one)
        except (PySparkException, Py4JJavaError):  # whatever keeps Spark from reading it
            return False


def content(rows: DataFrame) -> tuple[int, str]:
    """How many rows, and their checksum: the same whatever their order or partitions."""
    found = rows.agg(*_content(rows)).first()
    assert found is not None
    return found["rows"], found["checksum"]


def _measured(one: Round) -> tuple[int, str]:
    return one.rows, one.checksum


def _content(rows: DataFrame) -> tuple[Column, Column]:
    hashes = F.sum(F.xxhash64(*rows.columns).cast("decimal(38)"))
    return F.count(F.lit(1)).alias("rows"), F.coalesce(hashes.cast("string"), F.lit("0")).alias("checksum")
