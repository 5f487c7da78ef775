"""Descriptors that tasks read from a table's files are those that Spark reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from filled_store import fill
from pyarrow import parquet
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from raw_samples import RawSamples

from avlib import tables
from avlib.spark.descriptor_files import FILE, PART, DescriptorFiles
from avlib.spark.samples import audio_samples, files_of_samples
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

NAMES = ["sample_id", "time_s", "visual", "audio"]
SCHEMA = pa.schema(
    [("sample_id", pa.int64()), ("time_s", pa.float64()), ("visual", tables.DESCRIPTOR), ("audio", tables.DESCRIPTOR)]
)


def by_tasks(samples: DataFrame, files: DescriptorFiles) -> list[dict[str, object]]:
    def as_they_are(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from (batch.select(NAMES).cast(SCHEMA) for batch in batches)

    return in_order(files.map_in_arrow(samples, NAMES, as_they_are, SCHEMA))


def by_numbers(samples: DataFrame, files: DescriptorFiles) -> list[dict[str, object]]:
    """The same by tasks that each read all files."""

    def as_they_are(rows: pa.Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        numbers = set(rows["number"].to_pylist())
        for batch in batches:
            assert set(batch["number"].to_pylist()) <= numbers
            yield batch.select(NAMES).cast(SCHEMA)
        assert len({number % 3 for number in numbers}) == 1

    numbered = samples.withColumn("number", F.pmod("sample_id", F.lit(7)).cast("int"))
    return in_order(files.map_by_number(numbered, [*NAMES, "number"], as_they_are, SCHEMA, tasks=3))


def in_order(rows: DataFrame) -> list[dict[str, object]]:
    return list(rows.select(*NAMES).toArrow().sort_by("sample_id").to_pylist())


def in_groups(store: TableStore, *, rows: int) -> None:
    """All samples in one file, as describe writes them, of which several tasks read parts."""
    whole = store.read(tables.SAMPLES).toArrow().cast(tables.SAMPLES.schema).sort_by("time_s")
    store.clear(tables.SAMPLES)
    parquet.write_table(whole, f"{store.warehouse}/groups.parquet", row_group_size=rows, use_dictionary=False)
    store.append_files(tables.SAMPLES, [f"{store.warehouse}/groups.parquet"])


@pytest.mark.parametrize(
    ("changed", "part_bytes"),
    [("", 2_000), ("described again", 1 << 27), ("compacted", 2_000), ("deleted from", 1 << 27)],
)
def test_as_spark_reads_them(store: TableStore, changed: str, part_bytes: int) -> None:
    """Of files that Spark reads in parts, that hold rows of two attempts, or are not those that were written first."""
    fill(store, RawSamples())
    if changed == "":
        in_groups(store, rows=20)
    if changed in ("described again", "compacted"):
        again = store.read(tables.SAMPLES).withColumn("visual", F.transform("visual", lambda x: (x + 1).cast("float")))
        store.append(tables.SAMPLES, again.withColumn("attempt", F.lit(2)))
        second = store.read(tables.DESCRIPTIONS).withColumn("attempt", F.lit(2)).where("video_id < 4")
        store.append(tables.DESCRIPTIONS, second)
    if changed == "compacted":
        store.compact(tables.SAMPLES)
    if changed == "deleted from":
        store.delete(tables.SAMPLES, F.col("sample_id") % 5 == 0)
    before = store.spark.conf.get("spark.sql.files.maxPartitionBytes")
    store.spark.conf.set("spark.sql.files.maxPartitionBytes", part_bytes)
    try:
        samples = audio_samples(store, "audio_context").where("sample_id % 7 > 0")
        files = files_of_samples(store, visual="visual", audio="audio_context")
        found, expected = by_tasks(samples, files), in_order(samples)
        assert by_numbers(samples, files) == expected
        assert changed or samples.select(FILE, PART).distinct().count() > samples.select(FILE).distinct().count() == 1
    finally:
        store.spark.conf.set("spark.sql.files.maxPartitionBytes", before)
    assert len(found) > 50 and found == expected


def test_what_another_table_holds_comes_through_spark(store: TableStore) -> None:
    fill(store, RawSamples())
    samples = audio_samples(store, "audio_mfcc65").withColumn("audio", F.array(F.col("time_s").cast("float")))
    files = files_of_samples(store, visual="visual", audio=tables.AUDIO_LEARNED.name)
    assert by_tasks(samples.drop(FILE, PART), files) == in_order(samples)  # no task is told of files
