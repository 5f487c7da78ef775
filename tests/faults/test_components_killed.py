"""A driver that is killed inside a round of the components: the next one goes on and gives the same rows."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from avlib.spark.components import components

pytestmark = [pytest.mark.spark, pytest.mark.faults]

DRIVER = """
import sys
from avlib.config import load_settings
from avlib.spark.components import components
from avlib.spark.session import get_session

spark = get_session(load_settings(assignments=["spark.master=local[2]", "spark.driver_memory=1g"]).spark)
edges = spark.read.parquet(sys.argv[1])
components(edges, folder=sys.argv[2], one_task_edges=0, source="path")
"""


@pytest.mark.parametrize("number", [1, *(pytest.param(number, marks=pytest.mark.long) for number in (0, 2, 3))])
def test_sigkill(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int) -> None:
    ids = np.random.default_rng(0).permutation(3000).tolist()
    given, folder = str(tmp_path / "edges"), tmp_path / "rounds"
    path = spark.createDataFrame(list(itertools.pairwise(ids)), "src bigint, dst bigint")
    path.repartition(4).write.parquet(given)

    driver = subprocess.Popen([sys.executable, "-c", DRIVER, given, str(folder)], start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        # The first files of a round that is not in the journal yet: the driver is inside it.
        while not (folder / f"{number:04}").exists() and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    journal = folder / "journal.json"
    entered = json.loads(journal.read_text())["rounds"] if journal.exists() else []
    assert number == 0 or not entered[-1]["settled"]

    found = components(spark.read.parquet(given), folder=str(folder), one_task_edges=0, source="path")
    assert sorted(map(tuple, found.collect())) == [(node, 0) for node in range(3000)]
    if entered:
        assert f"going on after round {entered[-1]['number']}" in capsys.readouterr().err
