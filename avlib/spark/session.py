"""Finding or starting Spark: the only place that changes Spark's configuration.

Without a cluster Spark runs inside this process, bound to loopback. Under spark-submit, or where a session is
already there, that session is taken as it is and nothing of it is changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from avlib.config import CONF_FOLDER, SparkSettings
from avlib.errors import ConfigError
from avlib.spark.delta_jars import DELTA_PACKAGE, remember, with_delta
from avlib.worker_environment import WORKER_ENVIRONMENT

MINIMUM_JAVA = 17
_ATTEMPTS = 2  # at a task
JAVA_MEND = (
    f"install Java {MINIMUM_JAVA} or newer (Debian, Ubuntu: apt-get install openjdk-17-jre-headless; "
    "macOS: brew install openjdk@17) or point JAVA_HOME to it"
)


def get_session(settings: SparkSettings) -> SparkSession:
    """The session that is there, or a new embedded one with Delta Lake.

    Raises ConfigError where Java is missing or too old, or Delta's JARs cannot be had.
    """
    active = SparkSession.getActiveSession()
    if active is None and submitted():
        active = SparkSession.builder.getOrCreate()
    if active is None:
        return _start_embedded(settings)
    if "DeltaSparkSessionExtension" not in (active.conf.get("spark.sql.extensions", "") or ""):
        raise ConfigError(
            "this Spark session has no Delta Lake: submit with --properties-file conf/spark-cluster.conf, or with "
            f"--packages {DELTA_PACKAGE} and the two spark.sql settings that are in that file"
        )
    return active


def submitted() -> bool:
    """Whether spark-submit started this process, and so has a JVM for it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _start_embedded(settings: SparkSettings) -> SparkSession:
    require_java()
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    cores = _cores(settings.master)
    builder = (
        SparkSession.builder.appName("avlib")
        .master(_with_retries(settings.master))
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", settings.driver_memory)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={_log4j2()}")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.shuffle.partitions", str(2 * cores))
        # Interpreted: of up to some 100,000 samples compiling takes about as long as it saves, and makes a stage of a
        # small collection 1 to 2 s longer (mutual edges of 54,000: 6 s, and 5 s compiled). On a cluster Spark compiles.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.databricks.delta.snapshotPartitions", "2")
        # Else VACUUM has 10,000 tasks, 20 s of them with nothing to do.
        .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", str(2 * cores))
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "2000")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", tempfile.gettempdir())  # never used; else a folder appears here
        .config("spark.python.worker.reuse", "true")
        .config("spark.python.daemon.module", "avlib.spark.daemon")
    )
    with tempfile.TemporaryFile("w+", errors="replace") as log:  # has no name: gone with whoever writes it
        try:
            with _stderr_to(log):
                session = with_delta(builder).getOrCreate()
        except (PySparkException, RuntimeError) as error:
            log.seek(0)
            said = log.read().strip().splitlines() or str(error).splitlines()
            raise ConfigError(
                "Spark did not start. Its first start fetches Delta Lake's JARs through Ivy: check the network. The "
                f"last thing Spark said: {said[-1].strip()}"
            ) from error
    remember(session)
    return session


@contextmanager
def _stderr_to(log: IO[str]) -> Iterator[None]:
    """Processes started inside inherit `log` as their stderr: Ivy's and Spark's chatter is not for the user.

    With --debug it is.
    """
    if "--debug" in sys.argv:
        yield
        return
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def require_java() -> None:
    """Raise ConfigError unless a Java that Spark can run on is found (JAVA_HOME, else PATH)."""
    if problem := java_problem():
        raise ConfigError(f"Spark needs Java: {problem}; {JAVA_MEND}")


def java_problem() -> str | None:
    """What is wrong with the Java that Spark would run on (JAVA_HOME, else PATH); None where nothing is."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None or not Path(java).exists():
        return f"JAVA_HOME is {home}, which has no bin/java" if home else "there is no java on the PATH"
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', printed)
    if found is None or int(found[1]) < MINIMUM_JAVA:
        return f"{java} is version {found[1] if found else 'unknown'}, and {MINIMUM_JAVA} is the lowest"
    return None


def _log4j2() -> Path:
    return CONF_FOLDER / "log4j2.properties"


def _with_retries(master: str) -> str:
    """Without a cluster, too, a task whose worker is lost is tried again; Spark itself would end the job."""
    return re.sub(r"^local\[([^],]+)\]$", rf"local[\1,{_ATTEMPTS}]", "local[1]" if master == "local" else master)


def _cores(master: str) -> int:
    inside = re.search(r"\[(\d+)", master)
    if inside:
        return int(inside[1])
    return (os.cpu_count() or 1) if "*" in master else 1
