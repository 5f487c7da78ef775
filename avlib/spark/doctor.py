"""Checks of Java, Spark, Delta Lake and the executors; what a machine needs without them is in avlib.doctor."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyspark
from py4j.protocol import Py4JError
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import avlib
from avlib.config import Settings
from avlib.doctor.finding import Finding
from avlib.doctor.packages import installed_versions
from avlib.doctor.space import SPARE_BYTES, free_bytes, temporary_folders
from avlib.errors import ConfigError, WarehouseError, in_one_line
from avlib.spark.delta_jars import DELTA_PACKAGE
from avlib.spark.resources import gpu_profile, task_device
from avlib.spark.session import JAVA_MEND, get_session, java_problem, submitted
from avlib.spark.store import TableStore
from avlib.storage import for_spark
from avlib.worker_environment import WORKER_ENVIRONMENT

_SUBMIT = "spark-submit --properties-file conf/spark-cluster.conf"
_ARCHIVE = (
    "make pack, then spark-submit --archives dist/avlib-environment.tar.gz#environment "
    "--conf spark.pyspark.python=environment/bin/python …"
)
_NAMED = 4  # hosts and the like; of more only so many
_ANOTHER_ENDS_S = 60.0  # another doctor of the same warehouse
_TASKS_PER_SLOT = 2
_TASK_S = 0.3  # so that one executor seldom takes all tasks before another has begun


@dataclass(frozen=True)
class Report:
    """What a task found where it ran.

    executor: host and process.  packages: versions, by name.  unset: what of WORKER_ENVIRONMENT has another value.
    temporary: of the folders for temporary files, Spark's too, the one with least room.
    gpus: addresses that Spark gave it.  device: where pictures would go.
    """

    executor: str
    python: str
    avlib: str
    packages: dict[str, str]
    unset: list[str]
    temporary: str
    free_bytes: int
    gpus: list[str]
    device: str

    @property
    def host(self) -> str:
        """Its name."""
        return self.executor.partition("/")[0]

    @classmethod
    def here(cls, device: str) -> Report:
        """Of this process. device: describe.device."""
        context = TaskContext.get()
        resources = context.resources() if context else {}
        try:
            chosen = task_device(device)
        except ConfigError as error:
            chosen = str(error)
        room = {folder: free_bytes(folder) for folder in temporary_folders()}
        tightest = min(room, key=lambda folder: room[folder])
        return cls(
            executor=f"{socket.gethostname()}/{os.getppid()}",
            python=platform.python_version(),
            avlib=avlib.__version__,
            packages=installed_versions(),
            unset=[name for name, value in WORKER_ENVIRONMENT.items() if os.environ.get(name) != value],
            temporary=str(tightest),
            free_bytes=room[tightest],
            gpus=list(resources["gpu"].addresses) if "gpu" in resources else [],
            device=chosen,
        )


def check_spark(settings: Settings, warehouse: str | None) -> list[Finding]:
    """Java, Spark and Delta Lake, then the executors. Where Spark or Python does not start, it ends there.

    warehouse: a Delta table is written there and read back, by the executors, and removed.
    """
    if not submitted() and (problem := java_problem()):
        return [Finding("Java", problem, JAVA_MEND)]
    try:
        spark = get_session(settings.spark)
    except ConfigError as error:
        mend = f"{_SUBMIT} …; without a network: {_SUBMIT} --conf spark.jars.packages= --jars 'dist/jars/*' …"
        return [Finding("Spark", str(error), mend)]
    findings = [check_versions(spark)]
    try:
        reports = _reports(spark, settings)
    except (PySparkException, Py4JError) as error:
        return [*findings, Finding("executors", f"Python does not work there: {worker_problem(error)}", _ARCHIVE)]
    findings += [check_executors(reports, Report.here("cpu")), check_executors_space(reports)]
    if settings.describe.device != "cpu":
        findings.append(check_executors_gpus(reports))
    if warehouse is not None:
        findings.append(check_tables(spark, warehouse))
    return findings


def check_versions(spark: SparkSession) -> Finding:
    """Spark and Delta Lake of the versions that their Python packages are made for."""
    jvm = spark._jvm
    assert jvm is not None
    found = f"{spark.version} at {spark.sparkContext.master}, Java {jvm.System.getProperty('java.version')}"
    if spark.version != pyspark.__version__:
        mend = f"{_SUBMIT} … with the spark-submit of Spark {pyspark.__version__}, on a cluster of that version"
        return Finding("Spark", f"{found}; the Python package pyspark is {pyspark.__version__}", mend)
    delta = str(getattr(jvm.io.delta, "package").VERSION())  # noqa: B009 - a word of Python's
    if delta != (asked := metadata.version("delta-spark")):
        return Finding(
            "Spark", f"{found}, Delta Lake {delta}; delta-spark is {asked}", f"{_SUBMIT} --packages {DELTA_PACKAGE} …"
        )
    return Finding("Spark", f"{found}, Delta Lake {delta}")


def _reports(spark: SparkSession, settings: Settings) -> list[Report]:
    device, profile = settings.describe.device, gpu_profile(spark, settings.describe.device)

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            time.sleep(_TASK_S)
            yield pa.RecordBatch.from_pydict({"report": [json.dumps(asdict(Report.here(device)))]})

    tasks = _TASKS_PER_SLOT * spark.sparkContext.defaultParallelism
    rows = spark.range(0, tasks, 1, tasks).mapInArrow(look, "report string", profile=profile)
    return [Report(**json.loads(row["report"])) for row in rows.collect()]


def worker_problem(error: Exception) -> str:
    """Why a Python worker did not come up, in a few words."""
    known = r"No module named [^\s)]+|Cannot run program .+|\[PYTHON_VERSION_MISMATCH\].+"
    found = re.search(known, str(error))
    return found[0] if found else in_one_line(error) or str(error)


def check_executors(reports: list[Report], driver: Report) -> Finding:
    """The same Python, avlib and packages as the driver's, and the environment that workers want."""
    hosts = sorted({report.host for report in reports})
    where = ", ".join(hosts) if len(hosts) <= _NAMED else f"{len(hosts)} hosts"
    found = f"{len({report.executor for report in reports})} answered ({where})"
    differing = sorted({line for report in reports for line in _differences(report, driver)})
    if differing:
        return Finding("executors", f"{found}; unlike the driver: {', '.join(differing)}", _ARCHIVE)
    unset = sorted({name for report in reports for name in report.unset})
    if unset:
        return Finding("executors", f"{found}; not set in their workers: {', '.join(unset)}", f"{_SUBMIT} …")
    return Finding("executors", f"{found}, with the driver's Python, avlib and packages")


def _differences(report: Report, driver: Report) -> Iterator[str]:
    here = {"Python": driver.python, "avlib": driver.avlib} | driver.packages
    there = {"Python": report.python, "avlib": report.avlib} | report.packages
    for name, version in here.items():
        if there.get(name) != version:
            yield f"{report.host} has {name} {there.get(name, 'not at all')}, not {version}"


def check_executors_space(reports: list[Report]) -> Finding:
    """Room for temporary files, of the workers and of Spark."""
    least = min(reports, key=lambda report: report.free_bytes)
    found = f"at least {least.free_bytes / 1e9:.1f} GB free for temporary files ({least.host}: {least.temporary})"
    if least.free_bytes >= SPARE_BYTES:
        return Finding("disks", found)
    larger = "--conf spark.executorEnv.TMPDIR=FOLDER for the workers' files, SPARK_LOCAL_DIRS of the node for Spark's"
    return Finding("disks", found, f"make room there, or name a larger disk: {larger}")


def check_executors_gpus(reports: list[Report]) -> Finding:
    """What the tasks of describe and knn would run on."""
    refused = sorted({report.device for report in reports if not report.device.startswith(("cpu", "cuda:"))})
    if refused:
        return Finding("GPUs", refused[0], "submit with the GPU settings (README, GPUs), or --set describe.device=cpu")
    given = sorted({f"{address} of {report.host}" for report in reports for address in report.gpus})
    named = ", ".join(given[:_NAMED]) + ", …" * (len(given) > _NAMED) or "none"
    idle = [report for report in reports if report.gpus and report.device == "cpu"]
    if idle:
        found = f"given by Spark: {named}; torch cannot use GPU {idle[0].gpus[0]} of {idle[0].host}"
        return Finding("GPUs", found, f"on {idle[0].host}: nvidia-smi; its driver must be as new as torch's CUDA")
    devices = sorted({report.device for report in reports})
    return Finding("GPUs", f"given by Spark: {named}; pictures would go to {', '.join(devices)}")


def check_tables(spark: SparkSession, warehouse: str) -> Finding:
    """A table written by executors, read by them and the driver, and removed; the warehouse of this schema version."""
    rows = 100 * spark.sparkContext.defaultParallelism
    try:
        store = TableStore(spark, warehouse)
        # The claim's next holder removes what a killed one leaves.
        with store.claim("doctor", wait_s=_ANOTHER_ENDS_S), store.scratch("doctor") as folder:
            spark.range(rows).write.format("delta").save(for_spark(folder))
            seen = spark.read.format("delta").load(for_spark(folder)).count()
            here = len(list(Path(folder).glob("*.parquet"))) if "://" not in folder else rows
        with suppress(OSError):  # there are tables in it, or it is no folder of this machine
            Path(store.warehouse).rmdir()
    except WarehouseError as error:
        return Finding("Delta", str(error), "do as it says, or name another warehouse by --warehouse")
    except (PySparkException, Py4JError) as error:
        said = in_one_line(error) or str(error)
        return Finding("Delta", f"no table can be written in {warehouse}: {said}", _shared(warehouse))
    if seen != rows or not here:
        return Finding("Delta", f"executors and driver do not see the same files in {warehouse}", _shared(warehouse))
    return Finding("Delta", "a table was written and read by the executors, and removed")


def _shared(warehouse: str) -> str:
    if "://" in warehouse:
        return "give the executors the rights and JARs of that file system (for S3: hadoop-aws)"
    return f"mount {warehouse} on every node under the same path, writable by Spark's user; or name a URI"
