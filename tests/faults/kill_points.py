"""Stages on small data, and a driver that kills itself, its JVM and its workers at a point of its own."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from deltalake import DeltaTable
from filled_store import fill
from malformed import write_good
from media_files import write_flash_and_click
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.evaluation import read_labels
from avlib.spark import describe, evaluation, filter, forget, index, ingest, knn, learn, optimize, rounds
from avlib.spark.store import TableStore

STEPS = "[{w_V = 0.5, w_A = 0.5, k = 6}]"


WRITES = ("_save", "append_files", "merge")
"""Of TableStore: what adds rows to a table, or replaces them, in a commit."""

COMMITS = ("delete", "delete_matching", "clear", "drop_steps", "compact", "keep_ids")
"""Whatever else ends in one."""


def filter_settings(*more: str) -> Settings:
    chosen = ["components.min_size=2", "components.one_task_edges=0", "agreement.references=60", "knn.block_rows=64"]
    scored = f"filter.strategies.scored={{steps = {STEPS}, scored = true}}"
    return load_settings(assignments=[*chosen, scored, "filter.strategy=scored", "agreement.doubt=0.7", *more])


def media_settings(*more: str) -> Settings:
    chosen = ["describe.visual_model=hog_color", "describe.frame_stride=5", "describe.batch_videos=3"]
    chosen += ["filter.strategy=joint", "knn.k=4", "components.min_size=2"]
    learned = ["steps=3", "pairs=4", "checkpoint_steps=2", "channels=[4, 6, 8]", "track.n_mels=12", "window_s=0.5"]
    return load_settings(assignments=[*chosen, *(f"learn.{word}" for word in learned), *more])


def fill_samples(spark: SparkSession, warehouse: Path) -> None:
    """What the filter begins with."""
    fill(TableStore(spark, str(warehouse)), RawSamples(videos=8))


def write_videos(folder: Path) -> None:
    """What ingest begins with: seven videos, and one of them twice."""
    good = write_good(folder)
    (folder / "twice.mp4").write_bytes(good[0].read_bytes())


def write_sounding(folder: Path) -> None:
    """Videos that something can be learned from: a buzz of some pitch each, then silence."""
    for number in range(5):
        times_s = np.arange(0.1, 3, 0.01 + 0.004 * number).tolist()
        path = folder / f"{number}.mp4"
        write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=times_s, duration_s=6.0)


def run_filter(spark: SparkSession, warehouse: Path) -> None:
    filter.run(TableStore(spark, str(warehouse)), filter_settings())


def knn_settings() -> Settings:
    return load_settings(assignments=["filter.strategy=joint", "knn.k=8", "knn.block_rows=100", "knn.method=exact"])


def run_knn(spark: SparkSession, warehouse: Path) -> None:
    knn.run(TableStore(spark, str(warehouse)), knn_settings(), 0)


def run_cells(spark: SparkSession, warehouse: Path) -> None:
    cells = knn_settings().knn.model_copy(update={"method": "cells", "cell_rows": 40})
    knn.run(TableStore(spark, str(warehouse)), knn_settings().model_copy(update={"knn": cells}), 0)


def run_media(spark: SparkSession, warehouse: Path) -> None:
    store = TableStore(spark, str(warehouse))
    ingest.run(store, media_settings(), [str(warehouse.parent / "videos")])
    describe.run(store, media_settings())


def run_collection(spark: SparkSession, warehouse: Path) -> None:
    filter.run(TableStore(spark, str(warehouse)), media_settings())


def run_index(spark: SparkSession, warehouse: Path) -> None:
    index.run(TableStore(spark, str(warehouse)), media_settings())


def run_learn(spark: SparkSession, warehouse: Path) -> None:
    learn.run(TableStore(spark, str(warehouse)), media_settings())


def run_describe_again(spark: SparkSession, warehouse: Path) -> None:
    """With other settings: samples of the descriptions before go."""
    describe.run(TableStore(spark, str(warehouse)), media_settings("describe.frame_stride=7"))


def run_filter_again(spark: SparkSession, warehouse: Path) -> None:
    """With a strategy that has neither scores nor copies."""
    filter.run(TableStore(spark, str(warehouse)), filter_settings("filter.strategy=joint", "knn.k=5"))


def run_optimize(spark: SparkSession, warehouse: Path) -> None:
    list(optimize.run(TableStore(spark, str(warehouse))))


def run_evaluate(spark: SparkSession, warehouse: Path) -> None:
    words = ["ratios=[0.5]", "seeds=1", "folds=2", "inner_folds=2", "k=[2]", "min_size=[2]", 'strategies=["joint"]']
    given = load_settings(assignments=[f"evaluate.{word}" for word in words])
    rows = [f"{video}.mp4,0,9,{word},{word},1\n" for video, word in enumerate(["dog", "sea"] * 3)]
    rows += ["6.mp4,0,9,misc,speech,0\n", "7.mp4,0,9,misc,music,0\n"]
    place = warehouse.with_name("labels.csv")
    place.write_text("video,start_s,end_s,picture_category,sound_category,is_clean\n" + "".join(rows))
    evaluation.run(TableStore(spark, str(warehouse)), given, read_labels(place))


def run_forget(spark: SparkSession, warehouse: Path) -> None:
    store = TableStore(spark, str(warehouse))
    forget.run(store, forget.find(store, ["2.mp4"], missing=False))


STAGES = {
    "filter": run_filter,
    "knn": run_knn,
    "cells": run_cells,
    "media": run_media,
    "index": run_index,
    "learn": run_learn,
    "describe-again": run_describe_again,
    "filter-again": run_filter_again,
    "optimize": run_optimize,
    "evaluate": run_evaluate,
    "forget": run_forget,
}


def content(store: TableStore) -> dict[str, tuple[int, str]]:
    """Rows of each table there is, and their hash, whatever their order; but for `runs`, which tells of times."""
    found = {}
    for table in tables.ALL:
        if table is not tables.RUNS and store.exists(table):
            found[table.name] = content_of(store, table)
    return found


def content_of(store: TableStore, table: tables.Table) -> tuple[int, str]:
    return rows_and_hash(DeltaTable(store.path(table)).to_pyarrow_table().to_pylist())


def rows_and_hash(rows: list[dict[str, object]]) -> tuple[int, str]:
    return len(rows), hashlib.sha256("\n".join(sorted(map(str, rows))).encode()).hexdigest()


def compared(warehouse: Path, kind: str) -> list[Path]:
    """Super-tiles of kNN, or lists of groups of cells, that are done."""
    return list(warehouse.rglob(f"_scratch/**/{kind}-*.arrow"))


def left_behind(warehouse: Path) -> list[str]:
    """Files that belong to no table, model or index."""
    names = ("_scratch", "_running", "_rounds", "_learning")
    there = [path for path in warehouse.rglob("*") if path.name in names or path.name.endswith(".partial")]
    return sorted(str(path.relative_to(warehouse)) for path in there)


class Killer:
    """Ends this process and its group at a point: `before samples 2` is before the second write of that table,
    `within` once a file of it is there, `after` when it has been written; `round 1` is inside that round.

    Other commits have names of their own, as `before samples/delete`. `index` and `network` are the files that make an
    index, and what was learned, seen.
    """

    def __init__(self, point: str) -> None:
        self._when, self._what, *number = point.split()
        self._number = int(number[0]) if number else 1
        self._seen: Counter[str] = Counter()

    def install(self) -> None:
        for name in WRITES:
            self._wrap(name, "")
        for name in COMMITS:
            self._wrap(name, f"/{name}")
        self._wrap_file(index, "write_manifest", "index")
        self._wrap_file(learn, "write_sound_model", "network")
        write_whole = rounds.write_whole

        def write(uri: str, content: Any) -> None:
            self._seen["round"] += 1
            if self._when == "round" and self._seen["round"] == int(self._what) + 1:
                kill()
            write_whole(uri, content)

        rounds.write_whole = write  # type: ignore[attr-defined]

    def _wrap_file(self, owner: Any, name: str, what: str) -> None:
        write = getattr(owner, name)

        def wrapped(*given: Any, **options: Any) -> None:
            if what == self._what and self._when == "before":
                kill()
            write(*given, **options)
            if what == self._what and self._when == "after":
                kill()

        setattr(owner, name, wrapped)

    def _wrap(self, name: str, told: str) -> None:
        method = getattr(TableStore, name)

        def wrapped(store: TableStore, *given: Any, **options: Any) -> Any:
            table = given[0] if given else tables.VIDEOS  # the ids that are kept
            what = f"{table.name}{told}"
            self._seen[what] += 1
            here = what == self._what and self._seen[what] == self._number
            if here and self._when == "before":
                kill()
            if here and self._when == "within":
                threading.Thread(target=kill_at_first_file, args=(Path(store.path(table)),), daemon=True).start()
            found = method(store, *given, **options)
            if here and self._when == "after":
                kill()
            return found

        setattr(TableStore, name, wrapped)


def kill() -> None:
    os.killpg(0, signal.SIGKILL)


def kill_at_first_file(folder: Path) -> None:
    before = set(folder.rglob("*.parquet"))
    while set(folder.rglob("*.parquet")) == before:
        time.sleep(0.001)
    kill()


if __name__ == "__main__":
    from avlib.spark.session import get_session

    stages, place, at = sys.argv[1:]
    session = get_session(load_settings(assignments=["spark.master=local[2]", "spark.driver_memory=1g"]).spark)
    Killer(at).install()
    STAGES[stages](session, Path(place))
