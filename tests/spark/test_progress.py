"""What a stage shows while it runs, in the Spark UI and on stderr, and what `runs` keeps of it."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from filled_store import fill, two_steps
from pyspark.sql import SparkSession
from raw_samples import RawSamples
from rich.console import Console

from avlib import tables
from avlib.spark import knn, progress
from avlib.spark.progress import grouped, of_this_thread, watched
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

DESCRIPTION = "spark.job.description"


def jobs_of(spark: SparkSession, group: str) -> int:
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def test_jobs_are_grouped_by_stage_in_other_threads_too(spark: SparkSession) -> None:
    context = spark.sparkContext
    with grouped(spark, "outer"):
        spark.range(3).count()
        before = jobs_of(spark, "outer")
        with grouped(spark, "inner"), watched(spark, "inner 1-3 of 3"):
            assert context.getLocalProperty(DESCRIPTION) == "inner 1-3 of 3"
            spark.range(3).count()
            with ThreadPoolExecutor(1) as threads:
                threads.submit(of_this_thread(spark, spark.range(3).count)).result()
        assert jobs_of(spark, "inner") == 2 * before > 0
        assert context.getLocalProperty(DESCRIPTION) == "outer"
        spark.range(3).count()
    assert jobs_of(spark, "outer") == 2 * before
    assert context.getLocalProperty("spark.jobGroup.id") is None


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_on_a_terminal_lines_elsewhere(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    def slow(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            time.sleep(0.5)
            yield batch

    shown = io.StringIO()
    monkeypatch.setattr(progress, "_console", Console(file=shown, force_terminal=terminal, width=200))
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.7)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with watched(spark, "slow things"):
        assert spark.range(0, 8, 1, 8).mapInArrow(slow, "id bigint").count() == 8
    said = shown.getvalue()
    assert "slow things" in said and "/8 tasks" in said and "tasks/s" in said and " left" in said
    assert ("\x1b[" in said) == terminal  # a bar moves the cursor
    if not terminal:
        assert all(line.startswith("  slow things: ") and line.endswith(" so far") for line in said.splitlines())


def test_runs_tell_what_a_stage_wrote_and_took(store: TableStore) -> None:
    began = datetime.now(UTC)
    fill(store, RawSamples())
    settings = two_steps()
    knn.run(store, settings, 0)
    (run,) = store.read(tables.RUNS).collect()
    neighbors = store.read(tables.NEIGHBORS)
    assert (run["stage"], run["filter_name"], run["step"]) == ("knn", "default", 0)
    assert run["rows"] == neighbors.count() > 0
    assert run["bytes"] == sum(Path(file.removeprefix("file:")).stat().st_size for file in neighbors.inputFiles())
    assert run["outputs"] == {"neighbors": store.version(tables.NEIGHBORS)}
    assert run["inputs"]["samples"] == store.version(tables.SAMPLES)
    assert settings.knn.model_dump(mode="json") in json.loads(run["settings"])
    assert began <= run["started"].astimezone(UTC) <= datetime.now(UTC)
    assert 0 < run["seconds"] <= (datetime.now(UTC) - began).total_seconds()
    # A JVM with Spark in it, and a Python worker with numpy, take more than this; no machine has as much.
    assert 200 << 20 < run["driver_memory_bytes"] < 1 << 40
    assert 50 << 20 < run["worker_memory_bytes"] < run["driver_memory_bytes"]
