"""What a second run costs, one video more, and a second core; and what `avlib plan` had said of it.

Reads ../shared/data/collection (see README, Contributing). Prints figures; nothing passes or fails by them, except
that an unchanged run must change no table.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from filled_warehouse import fill
from knn_samples import structured_samples
from pyspark.sql import SparkSession
from test_collection_suggestions import settings_for

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.inputs import find_inputs
from avlib.spark import components, describe, ingest, knn, mutual_edges, pipeline
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

MACHINE = platform.processor() or platform.machine()
MEAN_S = 25  # of a video of the collection
_ONE_BY_ONE = 5  # a tenth commit is followed by Delta's checkpoint
AVLIB = [sys.executable, "-c", "from avlib.cli import main; main()"]

# On so many cores, in a session of so many: warm up, then a stage. A session of one on two cores uses the second, too:
# decoding is a process of its own, and the JVM compiles beside its tasks.
SCALING = """
import os, sys, time
from pathlib import Path
from avlib.config import load_settings
from avlib.spark import describe, ingest, knn
from avlib.spark.session import get_session
from avlib.spark.store import TableStore
from filled_warehouse import fill
from knn_samples import structured_samples

cores, slots, folder, *assignments = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
given = [*assignments, f"spark.master=local[{slots}]", "filter.strategy=joint", "knn.method=exact"]
settings = load_settings(assignments=given)
spark = get_session(settings.spark)
warehouse = Path(folder, f"warehouse-{cores}-{slots}")
store = TableStore(spark, str(warehouse))
videos = sorted(Path(folder, "videos").iterdir())
for some in (videos[:4], videos):
    ingest.run(store, settings, [str(video) for video in some])
    started = time.perf_counter()
    describe.run(store, settings)
    described_s = time.perf_counter() - started
store = TableStore(spark, f"{warehouse}-knn")
fill(store, structured_samples(40_000, dimensions=(576, 65)), Path(folder))
for name in ("warm", "timed"):
    started = time.perf_counter()
    knn.run(TableStore(spark, store.warehouse, name=name), settings, 0)
    knn_s = time.perf_counter() - started
print(described_s, knn_s)
"""


def as_options(settings: Settings) -> list[str]:
    """What makes `settings_for` of the defaults, on the command line."""
    model, weights = "describe.visual_model=mobilenet_v2", f"describe.visual_weights={settings.describe.visual_weights}"
    chosen = [model, weights, "describe.frame_stride=5", "spark.master=local[2]"]
    return [part for one in chosen for part in ("--set", one)]


@pytest.fixture
def videos(shared_data: Path, tmp_path: Path) -> list[Path]:
    (tmp_path / "videos").mkdir()
    return sorted((shared_data / "collection" / "videos").iterdir())


def seconds_of_stages(store: TableStore) -> dict[str, float]:
    """Of the newest run of each, its steps together."""
    rows = store.read(tables.RUNS).orderBy("started").collect()
    newest = {(row["stage"], row["step"]): row["seconds"] for row in rows}
    found: dict[str, float] = {}
    for (stage, _), seconds in newest.items():
        found[stage] = found.get(stage, 0.0) + seconds
    return found


def test_run_again(spark: SparkSession, shared_data: Path, tmp_path: Path, videos: list[Path]) -> None:
    settings, folder = settings_for(shared_data, "agreement"), tmp_path / "videos"
    for video in videos[:-1]:
        shutil.copy(video, folder)
    store = TableStore(spark, str(tmp_path / "warehouse"))
    first_s = timed(store, settings, folder)
    stages = seconds_of_stages(store)
    listed = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in stages.items())
    print(f"\n{MACHINE}, local[2]; {len(videos) - 1} videos: pipeline {first_s:.0f} s ({listed})", flush=True)
    before = {table.name: store.version(table) for table in tables.ALL}
    again_s = [timed(store, settings, folder) for _ in range(2)]
    assert {table.name: store.version(table) for table in tables.ALL} == before
    print(f"unchanged: {again_s[0]:.1f} and {again_s[1]:.1f} s in the same process (to be 15 or less)", flush=True)
    started = time.perf_counter()
    subprocess.run([*AVLIB, "pipeline", str(folder), "-w", store.warehouse, *as_options(settings)], check=True)
    print(f"unchanged: {time.perf_counter() - started:.1f} s as a command, Spark's start included", flush=True)
    one_more_s = [one_more(store, settings, folder / f"{number}.mp4", videos[-1]) for number in range(_ONE_BY_ONE)]
    one_s, all_s = statistics.median(one_more_s), stages["describe"] * len(videos) / (len(videos) - 1)
    listed = ", ".join(f"{seconds:.1f}" for seconds in one_more_s)
    print(f"describe: all {all_s:.1f} s, one more {one_s:.1f} s (median of {listed})", flush=True)
    print(f"one more: {one_s / all_s:.3f} of all (to be 0.1 or less)")


def one_more(store: TableStore, settings: Settings, place: Path, video: Path) -> float:
    """Seconds of describe for one video more, of a content that no other has."""
    place.write_bytes(video.read_bytes() + bytes(8 * (1 + int(place.stem))))  # of a size that no other has, too
    ingest.run(store, settings, [str(place)])
    started = time.perf_counter()
    describe.run(store, settings)
    return time.perf_counter() - started


def timed(store: TableStore, settings: Settings, folder: Path) -> float:
    started = time.perf_counter()
    pipeline.run(store, settings, find_inputs([str(folder)], extensions=settings.ingest.extensions))
    return time.perf_counter() - started


def test_planned(spark: SparkSession, shared_data: Path, tmp_path: Path, videos: list[Path]) -> None:
    settings, folder = settings_for(shared_data, "agreement"), str(shared_data / "collection" / "videos")
    planned = planned_seconds(tmp_path, folder, "--mean-seconds", str(MEAN_S), *as_options(settings))
    store = TableStore(spark, str(tmp_path / "warehouse"))
    pipeline.run(store, settings, find_inputs([folder], extensions=settings.ingest.extensions))
    print(f"\n{MACHINE}, local[2]; {len(videos)} videos")
    compare(planned, seconds_of_stages(store))


def test_planned_for_54_000_samples(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    settings = settings_for(shared_data, "joint")
    of_54_000 = ["--videos", "1000", "--mean-seconds", "108", "--strategy", "joint"]
    options = [*as_options(settings), "--set", "describe.frame_stride=25", "--set", "knn.method=exact"]
    planned = planned_seconds(tmp_path, *of_54_000, *options)
    settings = load_settings(assignments=["filter.strategy=joint", "knn.method=exact"])
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, structured_samples(54_000, dimensions=(1280, 65)), tmp_path)
    print(f"\n{MACHINE}, local[2]; 54,000 samples, 1280 + 65 dimensions, one step")
    for name in ("cold", "warm"):  # after describe Spark is warm
        named = TableStore(spark, store.warehouse, name=name)
        knn.run(named, settings, 0)
        mutual_edges.run(named, 0)
        components.run(named, settings, 0)
        print(f"{name}:")
        compare({stage: planned[stage] for stage in ("knn", "mutual_edges", "components")}, seconds_of_stages(named))


def planned_seconds(folder: Path, *options: str) -> Counter[str]:
    """Of each stage, all its steps together, by rates measured for it."""
    measured = ["--calibrate", "--rates", str(folder / "rates.json"), "--json"]
    said = subprocess.run([*AVLIB, "plan", *options, *measured], capture_output=True, text=True, check=True).stdout
    planned: Counter[str] = Counter()
    for stage in json.loads(said)["stages"]:
        planned[stage["stage"]] += stage["seconds"]
    return planned


def compare(planned: dict[str, float], took: dict[str, float]) -> None:
    for stage, seconds in planned.items():
        print(f"{stage:<14} planned {seconds:6.1f} s, took {took[stage]:6.1f} s", flush=True)
    ratio = sum(took[stage] for stage in planned) / sum(planned.values())
    print(f"together: took {ratio:.2f} of the time planned (within 0.7 and 1.3 hoped for)", flush=True)


def test_second_core(shared_data: Path, tmp_path: Path, videos: list[Path]) -> None:
    settings = settings_for(shared_data, "joint")
    for video in videos[:20]:
        shutil.copy(video, tmp_path / "videos")
    chosen = ["describe.visual_model=mobilenet_v2", f"describe.visual_weights={settings.describe.visual_weights}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    seconds = []
    for cores, slots in ((1, 1), (2, 1), (2, 2)):
        asked = [str(cores), str(slots), str(tmp_path), *chosen, "describe.frame_stride=5"]
        command = [sys.executable, "-c", SCALING, *asked]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        seconds.append([float(number) for number in said.split()])
    print(f"\n{MACHINE}; start-up and warm-up excluded")
    for stage, one, one_of_two, two in zip(("describe, 16 videos", "knn, 40,000 × (576 + 65)"), *seconds, strict=True):
        print(
            f"{stage}: one core {one:.1f} s, two {two:.1f} s: {one / two:.2f} x (1.7 hoped for); local[1] on two "
            f"{one_of_two:.1f} s: {one_of_two / two:.2f} x",
            flush=True,
        )
