"""What a task of Python workers costs on a cluster, by Spark's own daemon and by avlib's, which waits for less."""

from __future__ import annotations

import os
import re
import statistics
from pathlib import Path

import pytest
from cluster import start_cluster

pytestmark = [pytest.mark.spark, pytest.mark.long]

TASKS, ROUNDS = 40, 3
JOB = f"""
import time
from pyspark.sql import SparkSession

def imports(batches):
    import avlib.spark.knn

    yield from batches

spark = SparkSession.builder.getOrCreate()
for _ in range({ROUNDS} + 1):
    started = time.monotonic()
    assert spark.range(0, {TASKS}, 1, {TASKS}).mapInArrow(imports, "id bigint").count() == {TASKS}
    print("SECONDS", time.monotonic() - started)
"""


def test_worker_daemon(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    cluster = start_cluster(tmp_path)
    task_s = {}
    try:
        for daemon in ("pyspark.daemon", "avlib.spark.daemon"):
            driver = cluster.submit(script, [], conf={"spark.python.daemon.module": daemon})
            assert driver.finished(within_s=300) == 0, driver.log.read_text()
            seconds = [float(text) for text in re.findall(r"SECONDS (\S+)", driver.log.read_text())]
            task_s[daemon] = statistics.median(seconds[1:]) / TASKS * len(cluster.workers)
    finally:
        cluster.end()
    ours, theirs = task_s["avlib.spark.daemon"], task_s["pyspark.daemon"]
    print(f"\n{os.cpu_count()} cores, standalone cluster of 2 workers, {TASKS} tasks that import kNN and do no more")
    print(f"median of {ROUNDS} rounds, s a task: {theirs:.3f} by pyspark's daemon, {ours:.3f}, {theirs / ours:.1f} x")
