"""The pipeline on a real cluster, undisturbed and with processes killed: the same rows as in local mode."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest
from cluster import JOBS, Cluster, start_cluster
from pyspark.sql import SparkSession
from small_pipeline import WITHIN_S, check, local_rows, make_videos, submit, wait_until_inside

pytestmark = [pytest.mark.spark, pytest.mark.faults]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def expected(spark: SparkSession, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return local_rows(videos, tmp_path_factory.mktemp("local") / "warehouse")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.end()


def test_the_same_rows_as_local_mode(cluster: Cluster, videos: Path, expected: dict[str, str], tmp_path: Path) -> None:
    check(submit(cluster, videos, tmp_path), cluster, tmp_path, expected)


EXECUTOR, PYTHON_WORKER, WORKER = "CoarseGrainedExecutorBackend", "avlib.spark.daemon", "deploy.worker.Worker"


@pytest.mark.long
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([("describe", PYTHON_WORKER), ("describe", EXECUTOR), ("knn", EXECUTOR)], id="what runs tasks"),
        pytest.param([("describe", WORKER)], id="a node"),
    ],
)
def test_sigkill(
    cluster: Cluster, videos: Path, expected: dict[str, str], tmp_path: Path, kills: list[tuple[str, str]]
) -> None:
    driver = submit(cluster, videos, tmp_path)
    for stage, victim in kills:
        worker = wait_until_inside(stage, cluster, driver, tmp_path)
        lost = driver.log.read_text().count("Lost ")
        max(
            worker.family(victim), key=lambda process: process.pid
        ).kill()  # the newest: a Python worker, not its daemon
        while driver.popen.poll() is None and driver.log.read_text().count("Lost ") == lost:
            time.sleep(0.1)  # until the driver has noticed
    check(driver, cluster, tmp_path, expected)
    assert driver.log.read_text().count("Lost ") >= len(kills)
    for worker in cluster.workers[:]:
        if worker.popen.poll() is not None:
            assert worker.family() == []  # what a node ran has ended with it
            cluster.add_worker()


@pytest.mark.long
def test_the_driver_is_killed(cluster: Cluster, videos: Path, expected: dict[str, str], tmp_path: Path) -> None:
    """Whoever submits again goes on; executors of a lost driver end by themselves."""
    for stage in ("describe", "knn"):
        driver = submit(cluster, videos, tmp_path)
        wait_until_inside(stage, cluster, driver, tmp_path)
        driver.end()
    check(submit(cluster, videos, tmp_path), cluster, tmp_path, expected)


@pytest.mark.long
def test_the_doctor_finds_nothing_to_mend(cluster: Cluster, tmp_path: Path) -> None:
    new = tmp_path / "new"
    driver = cluster.submit(JOBS / "doctor.py", ["-w", str(new), "--json", "--set", "describe.visual_model=hog_color"])
    driver.finished(within_s=WITHIN_S)
    log = driver.log.read_text()
    begins = log.index("[\n {")
    listed, _ = json.JSONDecoder().raw_decode(log, begins)  # Spark may say something more as it stops
    findings = {found["check"]: found for found in listed}
    failed = {name for name, found in findings.items() if not found["ok"]}
    assert failed <= {"disk", "disks"}, log  # how much room there is, is the machine's
    assert findings["executors"]["found"].startswith("2 answered")
    assert findings["Spark"]["found"].startswith(f"{pyspark.__version__} at {cluster.url}")
    assert " WARN " not in log[:begins] and not new.exists()


@pytest.fixture
def cluster_with_gpus(tmp_path: Path) -> Iterator[Cluster]:
    """One worker that gives out two GPUs, which are not there."""
    script = tmp_path / "discovery.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["3", "5"]}\'\n')
    script.chmod(0o755)
    started = start_cluster(tmp_path, workers=0)
    try:
        gpus = {"amount": "2", "discoveryScript": str(script)}
        started.add_worker(cores=2, options={f"spark.worker.resource.gpu.{key}": gpus[key] for key in gpus})
        yield started
    finally:
        started.end()


@pytest.mark.long
def test_two_gpus_are_both_used_by_their_addresses(
    cluster_with_gpus: Cluster, videos: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    conf = {"spark.executor.cores": "1", "spark.executor.resource.gpu.amount": "1"}
    driver = submit(cluster_with_gpus, videos, tmp_path / "W", conf)
    check(driver, cluster_with_gpus, tmp_path / "W", expected)
    logs = [log.read_text() for log in (tmp_path / "work-0").glob("app-*/*/stderr")]
    said = [re.findall(r"torch cannot use GPU (\d), given by Spark: it sees 0 CUDA devices", log) for log in logs]
    assert sorted(set(found) for found in said) == [{"3"}, {"5"}]  # each executor's own
