"""Two runs on one warehouse, and optimize meanwhile: nothing twice, nothing lost; what cannot be shared is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import kill_points
import pytest
from kill_points import left_behind, media_settings
from malformed import write_good
from pyspark.sql import SparkSession

from avlib import tables
from avlib.claims import running
from avlib.errors import WarehouseError
from avlib.spark import describe, filter, forget, ingest, optimize
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.faults]

HOLD = "import sys, time; from avlib.claims import claimed\nwith claimed(*sys.argv[1:]): time.sleep(120)"


def until_it_may(work: Callable[[], object]) -> None:
    """As somebody does who reads what a refusal says."""
    deadline = time.monotonic() + 300
    while True:
        try:
            work()
            return
        except WarehouseError as error:
            if "another run is at this (describe, since" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.long)])
def test_two_writers_and_optimize(spark: SparkSession, tmp_path: Path, rounds: int) -> None:
    (tmp_path / "good").mkdir()
    good = write_good(tmp_path / "good")[0].read_bytes()
    warehouse = str(tmp_path / "warehouse")
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        store = TableStore(spark, warehouse)
        for number in range(rounds):
            folder = tmp_path / f"{writer}-{number}"
            folder.mkdir()
            for one in range(2):  # of a size each, so that none counts as another's duplicate
                (folder / f"{one}.mp4").write_bytes(good + bytes(8 + 4 * number + 2 * one + writer))
            ingest.run(store, media_settings(), [str(folder)])
            until_it_may(lambda: describe.run(store, media_settings()))

    def lay_out() -> None:
        store = TableStore(spark, warehouse)
        while any(thread.is_alive() for thread in writers):
            optimize.run(store)
            time.sleep(0.1)

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return run

    writers = [threading.Thread(target=guarded(lambda writer=writer: write(writer))) for writer in range(2)]  # type: ignore[misc]
    threads = [*writers, threading.Thread(target=guarded(lay_out))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    store = TableStore(spark, warehouse)
    videos, samples = store.read(tables.VIDEOS).toPandas(), store.read(tables.SAMPLES).toPandas()
    descriptions = store.read(tables.DESCRIPTIONS).toPandas()
    count = 4 * rounds
    assert len(videos) == count and sorted(videos["video_id"]) == list(range(count))
    assert videos["uri"].is_unique and sorted(descriptions["video_id"]) == list(range(count))
    assert (descriptions["status"] == "ok").all() and descriptions["samples"].nunique() == 1
    assert samples["sample_id"].is_unique and len(samples) == descriptions["samples"].sum() > 0
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
