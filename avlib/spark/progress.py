"""What a stage says while it runs: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_POLL_S = 0.3
_LINE_EVERY_S = 15.0

_DESCRIPTION = "spark.job.description"
_JOB_GROUP = ("spark.jobGroup.id", _DESCRIPTION, "spark.job.interruptOnCancel")

_console = Console(stderr=True, force_jupyter=False)  # else it would be among a cell's results


def say(line: str) -> None:
    """One line of progress, on stderr: stdout is for results."""
    _console.print(line, highlight=False, markup=False, soft_wrap=True)


def warn(line: str) -> None:
    """One line that asks to be read: something is not as it should be, and what to do."""
    _console.print(f"  warning: {line}", style="yellow", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def grouped(spark: SparkSession, stage: str) -> Iterator[None]:
    """Makes Spark jobs that run inside the block one group in the Spark UI."""
    before = {name: spark.sparkContext.getLocalProperty(name) for name in _JOB_GROUP}
    spark.sparkContext.setJobGroup(stage, stage)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.sparkContext.setLocalProperty(name, value)  # type: ignore[arg-type]  # None takes it away


def of_this_thread(spark: SparkSession, work: Callable[[], object]) -> Callable[[], object]:
    """Work for another thread, whose Spark jobs are to be of this one's group."""
    inheriting: object = inheritable_thread_target(spark)
    # The session itself, where Spark was told not to tell threads apart.
    return cast("Callable[[], object]", inheriting(work)) if callable(inheriting) else work


@contextmanager
def watched(spark: SparkSession, label: str) -> Iterator[None]:
    """Shows the tasks done of whatever Spark jobs run inside the block, and describes them in the Spark UI."""
    before = spark.sparkContext.getLocalProperty(_DESCRIPTION)
    spark.sparkContext.setJobDescription(label)
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    watcher = threading.Thread(target=show, args=(spark, label, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        spark.sparkContext.setLocalProperty(_DESCRIPTION, before)  # type: ignore[arg-type]  # None takes it away


@dataclass(frozen=True)
class _Tasks:
    """Tasks of the Spark stages that run now.  stages: their ids."""

    stages: tuple[int, ...]
    done: int
    total: int


def _tasks(spark: SparkSession) -> _Tasks:
    tracker = spark.sparkContext.statusTracker()
    found = {stage: tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()}
    known = {stage: info for stage, info in found.items() if info is not None}
    done, total = (sum(getattr(info, name) for info in known.values()) for name in ("numCompletedTasks", "numTasks"))
    return _Tasks(tuple(sorted(known)), done, total)


class Pace:
    """How fast things get done, and how long the rest will take. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began, self._at_first = clock, clock(), 0

    def begin(self, done: int) -> None:
        """Count from here: so many are done already."""
        self._began, self._at_first = self._clock(), done

    def said(self, done: int, total: int, things: str) -> str:
        """`3/40 tasks, 0.2 tasks/s, 3 min left`, or less where nothing has been done yet."""
        passed, new = self._clock() - self._began, done - self._at_first
        if new <= 0 or passed <= 0:
            return f"{done}/{total} {things}"
        rate = new / passed
        return f"{done}/{total} {things}, {rate:.3g} {things}/s, {_duration((total - done) / rate)} left"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _bar(spark: SparkSession, label: str, stop: threading.Event) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    pace = _StagePace()
    with Progress(*columns, console=_console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        while not stop.wait(_POLL_S):
            tasks = _tasks(spark)
            if tasks.total:
                said = f"{label} {pace.said(tasks)}"
                progress.update(task, completed=tasks.done, total=tasks.total, description=said)


def _lines(spark: SparkSession, label: str, stop: threading.Event) -> None:
    started, pace, lines = time.monotonic(), _StagePace(), 0
    while not stop.wait(_POLL_S):
        tasks, passed = _tasks(spark), time.monotonic() - started
        said = pace.said(tasks)
        if passed >= _LINE_EVERY_S * (lines + 1):
            lines += 1
            said = f"{said}, " if tasks.total else ""  # else the driver is at work
            say(f"  {label}: {said}{_duration(passed)} so far")


class _StagePace:
    """The pace of the Spark stages that run now; another begins whenever others run."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._stages: tuple[int, ...] = ()

    def said(self, tasks: _Tasks) -> str:
        if tasks.stages != self._stages:
            self._stages = tasks.stages
            self._pace.begin(tasks.done)
        return self._pace.said(tasks.done, tasks.total, "tasks")
