"""A job whose environment is shipped to the workers: packed and submitted as README, On a cluster, says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cluster import ROOT, start_cluster
from pyspark.sql import SparkSession
from small_pipeline import check, local_rows, make_videos, submit, wait_until_inside

pytestmark = [pytest.mark.spark, pytest.mark.faults, pytest.mark.long]


def test_a_packed_environment(spark: SparkSession, tmp_path: Path) -> None:
    out, videos, warehouse = tmp_path / "dist", make_videos(tmp_path / "made"), tmp_path / "W"
    subprocess.run([sys.executable, ROOT / ".ci" / "pack.py", "--without-cuda", "--out", out], check=True)
    expected = local_rows(videos, tmp_path / "local")
    conf = {
        "spark.archives": f"{out}/avlib-environment.tar.gz#environment",
        "spark.pyspark.python": "environment/bin/python",
        "spark.pyspark.driver.python": sys.executable,
        "spark.jars.packages": "",
        "spark.jars": f"{out}/jars/*",
    }
    cluster = start_cluster(tmp_path)
    try:
        driver = submit(cluster, videos, warehouse, conf)
        worker = wait_until_inside("describe", cluster, driver, warehouse)
        commands = [process.command.split()[0] for process in worker.family("avlib.")]
        assert len(commands) >= 3 and {Path(command).parent.parent.name for command in commands} == {"environment"}
        check(driver, cluster, warehouse, expected)
    finally:
        cluster.end()
