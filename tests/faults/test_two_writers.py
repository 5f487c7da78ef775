"""Two runs on one warehouse, and optimize meanwhile: nothing twice, nothing lost; what cannot be shared is refused."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import time
from pathlib import Path

import kill_points
import pytest
from kill_points import left_behind
from malformed import write_good
from pyspark.sql import SparkSession
from writers import lay_out, write

from avlib import tables
from avlib.claims import running
from avlib.errors import WarehouseError
from avlib.spark import filter, forget
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.faults]

HOLD = "import sys, time; from avlib.claims import claimed\nwith claimed(*sys.argv[1:]): time.sleep(120)"


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(2, marks=[pytest.mark.long, pytest.mark.sampled(120)]),
        pytest.param(20, marks=pytest.mark.long),
    ],
)
def test_two_writers_and_optimize(spark: SparkSession, tmp_path: Path, rounds: int) -> None:
    """Processes, each with its JVM. Of each round two videos are of either writer, and one is of both."""
    (tmp_path / "good").mkdir()
    good = write_good(tmp_path / "good")[0].read_bytes()
    warehouse = str(tmp_path / "warehouse")
    for number in range(rounds):
        for folder, videos in ((f"0-{number}", 2), (f"1-{number}", 2), (f"both-{number}", 1)):
            (tmp_path / folder).mkdir()
            for video in range(videos):  # of a content each, so that none counts as another's duplicate
                (tmp_path / folder / f"{video}.mp4").write_bytes(good + f"{folder}/{video}".encode())
    given = [
        [[tmp_path / f"{one}-{number}" for one in (writer, "both")] for number in range(rounds)] for writer in "01"
    ]
    processes = multiprocessing.get_context("spawn")  # a JVM cannot be forked with its process
    together, ended = processes.Barrier(3), processes.Event()
    writers = [processes.Process(target=write, args=(warehouse, inputs, together)) for inputs in given]
    optimizing = processes.Process(target=lay_out, args=(warehouse, ended, together))
    try:
        for process in (*writers, optimizing):
            process.start()
        for process in writers:
            process.join()
        ended.set()
        optimizing.join()
    finally:
        for process in (*writers, optimizing):
            process.kill()
    assert [process.exitcode for process in (*writers, optimizing)] == [0, 0, 0]
    store = TableStore(spark, warehouse)
    videos, samples = store.read(tables.VIDEOS).toPandas(), store.read(tables.SAMPLES).toPandas()
    descriptions = store.read(tables.DESCRIPTIONS).toPandas()
    count = 5 * rounds
    assert sorted(videos["video_id"]) == list(range(count)) and videos["uri"].is_unique
    assert sorted(descriptions["video_id"]) == list(range(count)) and (descriptions["attempt"] == 1).all()
    assert (descriptions["status"] == "ok").all() and descriptions["samples"].nunique() == 1
    assert samples["sample_id"].is_unique and len(samples) == descriptions["samples"].sum() > 0
    assert store.read(tables.RUNS).where("stage = 'ingest'").count() == 2 * rounds  # each brought something new
    assert all(len(store.read(table).inputFiles()) == 1 for table in (tables.VIDEOS, tables.SAMPLES, tables.RUNS))
    assert left_behind(Path(warehouse)) == []


def test_what_cannot_be_shared_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    kill_points.fill_samples(spark, warehouse)
    store = TableStore(spark, str(warehouse))
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(warehouse), "filter-default"])
    try:
        while not running(str(warehouse)):
            time.sleep(0.01)
        named = rf"another run is at this \(filter-default, since .* process {other.pid}\)"
        with pytest.raises(WarehouseError, match=named):
            filter.run(store, kill_points.filter_settings())
        with pytest.raises(WarehouseError, match=named):
            forget.run(store, forget.find(store, ["1.mp4"], missing=False))
        assert store.read(tables.VIDEOS).count() == 8
    finally:
        other.kill()
        other.wait()
    with store.claim_filter():  # the lock has gone with its process
        pass
    shutil.rmtree(warehouse)
