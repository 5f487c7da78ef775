"""A real standalone Spark cluster on loopback, from the pyspark package's own commands: a master, workers, drivers.

Each is a process of its own, in a session of its own, so that everything it starts can be found, and killed for sure.
Linux only: processes are looked up in /proc.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

ROOT = Path(__file__).resolve().parents[2]
JOBS = ROOT / "jobs"
SPARK_HOME = Path(pyspark.__file__).parent
DEADLINE_S = 60.0

ANY_PORT = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]

# For jobs of seconds: JVMs that start fast, few partitions, small heaps.
FAST_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SMALL = {
    "spark.executor.memory": "600m",
    "spark.executor.memoryOverheadFactor": "0.1",
    "spark.executor.extraJavaOptions": FAST_START,
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=conf/log4j2.properties {FAST_START}",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
}

LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1", "SPARK_HOME": str(SPARK_HOME)}
DAEMON = {"SPARK_DAEMON_MEMORY": "300m", "SPARK_DAEMON_JAVA_OPTS": FAST_START}


@dataclass(frozen=True)
class Process:
    """A running process. command: with its arguments, separated by spaces."""

    pid: int
    command: str

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Started:
    """A process in a session of its own, and its log."""

    popen: subprocess.Popen[bytes]
    log: Path

    def family(self, word: str = "") -> list[Process]:
        """It and what it has started, directly or not, whose command contains a word."""
        return [process for process in _session(self.popen.pid) if word in process.command]

    def said(self, pattern: str) -> str:
        """The first group of a pattern in the log, waited for."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log.read_text(errors="replace")):
                return found[1]
            if self.popen.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"no {pattern!r} in the log:\n{self.log.read_text(errors='replace')[-4000:]}")

    def finished(self, *, within_s: float) -> int:
        """The exit code."""
        return self.popen.wait(timeout=within_s)

    def end(self) -> None:
        """SIGKILL to all of it. It may be starting processes meanwhile: until none is left."""
        while family := self.family():
            for process in family:
                process.kill()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout=0.1)


@dataclass
class Cluster:
    """A master and its workers; drivers are submitted to it.

    folder: of logs, work folders and temporary files, of everything the cluster writes by itself.
    """

    folder: Path
    master: Started
    url: str
    workers: list[Started] = field(default_factory=list)
    drivers: list[Started] = field(default_factory=list)

    def add_worker(self, *, cores: int = 1, options: Mapping[str, str] | None = None) -> Started:
        """Start one more worker and wait until the master knows it. options: spark.worker.… settings."""
        number = len(self.workers)
        java = " ".join(f"-D{key}={value}" for key, value in (options or {}).items())
        where = ["--work-dir", self.folder / f"work-{number}", *ANY_PORT, "--cores", str(cores), "--memory", "2g"]
        worker = _start(
            [SPARK_HOME / "bin" / "spark-class", "org.apache.spark.deploy.worker.Worker", *where, self.url],
            self.folder / f"worker-{number}.log",
            environment=self._temporary(f"worker-{number}") | {"SPARK_WORKER_OPTS": java},
        )
        self.workers.append(worker)
        worker.said("(Successfully registered) with master")
        return worker

    def submit(self, script: Path, arguments: Sequence[str], *, conf: Mapping[str, str] | None = None) -> Started:
        """spark-submit with conf/spark-cluster.conf. Workers use this environment's Python, by its path.

        conf: settings over those of the file, and of SMALL.
        """
        options = [f"--conf={key}={value}" for key, value in (SMALL | dict(conf or {})).items()]
        properties = ["--properties-file", ROOT / "conf" / "spark-cluster.conf", *options]
        name = f"driver-{len(self.drivers)}"
        driver = _start(
            [SPARK_HOME / "bin" / "spark-submit", "--master", self.url, *properties, script, *arguments],
            self.folder / f"{name}.log",
            environment=self._temporary(name) | {"PYSPARK_PYTHON": sys.executable},
        )
        self.drivers.append(driver)
        return driver

    def leftovers(self) -> list[Path]:
        """Temporary files of workers and drivers, but for those that Spark keeps for itself in folders of its own."""
        entries = [entry for folder in (self.folder / "tmp").iterdir() for entry in folder.iterdir()]
        return [entry for entry in entries if not entry.name.startswith(("spark-", "blockmgr-"))]

    def end(self) -> None:
        """Kill all of it."""
        for started in (*self.drivers, *self.workers, self.master):
            started.end()

    def _temporary(self, name: str) -> dict[str, str]:
        """A folder for the temporary files of one process and its family, as their environment."""
        folder = self.folder / "tmp" / name
        folder.mkdir(parents=True)
        return {"TMPDIR": str(folder), "SPARK_LOCAL_DIRS": str(folder)}


def start_cluster(folder: Path, *, workers: int = 2) -> Cluster:
    """Start a cluster. Whoever does so ends it."""
    master = _start(
        [SPARK_HOME / "bin" / "spark-class", "org.apache.spark.deploy.master.Master", *ANY_PORT],
        folder / "master.log",
    )
    try:
        cluster = Cluster(folder, master, master.said(r"Starting Spark master at (spark://\S+)"))
    except BaseException:
        master.end()
        raise
    try:
        for _ in range(workers):
            cluster.add_worker()
    except BaseException:
        cluster.end()
        raise
    return cluster


def _start(command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str] | None = None) -> Started:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    with log.open("ab") as file:
        popen = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=inherited | LOOPBACK | DAEMON | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(popen, log)


def _session(leader: int) -> Iterator[Process]:
    """The living processes of a session: Spark's Python daemon leaves its process group, but not that."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Process(int(folder.name), command)
