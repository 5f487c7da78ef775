"""The driver's memory while components are found, by the number of edges. Nothing fails by its figures.

In local mode driver and executors are one process. Here the executors have processes of their own (Spark's
local-cluster), so that the driver's heap is the driver's alone: what is live in it after a garbage collection, five
times a second. Beside it the largest resident memory of the driver's Python so far.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark

DRIVER = """
import resource, shutil, sys, threading
from pyspark.sql import SparkSession
from avlib.spark.components import components, verify

builder = SparkSession.builder.master("local-cluster[2,1,3072]").config("spark.executor.memory", "3g")
builder = builder.config("spark.driver.memory", "1g").config("spark.driver.host", "127.0.0.1")
builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.enabled", "false")
spark = builder.config("spark.sql.shuffle.partitions", "4").config("spark.log.level", "ERROR").getOrCreate()
java = spark._jvm.java.lang


def live_mb():
    java.System.gc()
    runtime = java.Runtime.getRuntime()
    return (runtime.totalMemory() - runtime.freeMemory()) / 2**20


for given in sys.argv[2:]:
    for limit in (10**9, 0):
        before, seen, stop = live_mb(), [], threading.Event()

        def watch():
            while not stop.wait(0.2):
                seen.append(live_mb())

        watcher = threading.Thread(target=watch)
        watcher.start()
        edges = spark.read.parquet(given)
        verify(edges, components(edges, folder=sys.argv[1], one_task_edges=limit))
        stop.set()
        watcher.join()
        shutil.rmtree(sys.argv[1])
        python_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        finish = "allowed  " if limit else "forbidden"
        name = given.rpartition("/")[2]
        print(f"{name:<10} {finish} | {before:6.0f} | {max(seen):4.0f} | {python_mb:6.0f}", flush=True)
"""

EDGES = (1_000, 1_000_000, 10_000_000)


def test_driver_memory(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    places = [tmp_path / f"{edges}" for edges in EDGES]
    for edges, place in zip(EDGES, places, strict=True):
        src, dst = random.integers(0, edges * 2 // 5, (2, edges)) * 2**24 + 7
        pq.write_table(pa.table({"src": src, "dst": dst}), place, row_group_size=200_000)
    environment = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "PYSPARK_PYTHON": sys.executable}
    print("\nedges      finish    | before | peak | Python, MB", flush=True)
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "rounds"), *map(str, places)]
    subprocess.run(command, env=os.environ | environment, check=True, stderr=subprocess.DEVNULL)
