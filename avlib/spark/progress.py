"""What a stage says while it runs: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_POLL_S = 0.3
_LINE_EVERY_S = 15.0

_JOB_GROUP = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")

_console = Console(stderr=True)


def say(line: str) -> None:
    """One line of progress, on stderr: stdout is for results."""
    _console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def watched(spark: SparkSession, label: str) -> Iterator[None]:
    """Shows the tasks done of whatever Spark jobs run inside the block, and names them in the Spark UI."""
    before = {name: spark.sparkContext.getLocalProperty(name) for name in _JOB_GROUP}
    spark.sparkContext.setJobGroup(label, label)
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    watcher = threading.Thread(target=show, args=(spark, label, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        for name, value in before.items():
            spark.sparkContext.setLocalProperty(name, value)  # type: ignore[arg-type]  # None takes it away


def _tasks(spark: SparkSession) -> tuple[int, int]:
    tracker = spark.sparkContext.statusTracker()
    infos = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    known = [info for info in infos if info is not None]
    return sum(info.numCompletedTasks for info in known), sum(info.numTasks for info in known)


def _bar(spark: SparkSession, label: str, stop: threading.Event) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        while not stop.wait(_POLL_S):
            done, total = _tasks(spark)
            if total:
                progress.update(task, completed=done, total=total, description=f"{label} {done}/{total}")


def _lines(spark: SparkSession, label: str, stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(_LINE_EVERY_S):
        done, total = _tasks(spark)
        say(f"  {label}: {done}/{total} tasks, {time.monotonic() - started:.0f} s")
