"""A driver that is killed anywhere: the next run gives the same tables, does little again and leaves no file behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kill_points
import pytest
from filled_store import fill
from kill_points import compared, content, content_of, left_behind
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib import tables
from avlib.retrieval.index import index_folder, read_manifest
from avlib.retrieval.shards import is_whole
from avlib.spark.store import TableStore
from avlib.table_log import commits

pytestmark = [pytest.mark.spark, pytest.mark.faults]

WHEN = ("before", "within", "after")
OF_FILTER = ("copies", "scores", "neighbors", "mutual_edges", "step_stats", "component_stats", "components")
OF_FILTER += ("collection", "runs")
OF_MEDIA = ("videos", "samples", "descriptions", "samples 2", "descriptions 2", "samples 3", "descriptions 3")
OF_MEDIA += ("descriptions 4", "descriptor_stats", "runs", "runs 2")
WRITTEN_BEFORE = {"step_stats": "mutual_edges", "components": "component_stats"}  # by the same stage
ROUNDS = [f"round {number}" for number in range(2)]
OF_FILTER_AGAIN = ("after scores/clear", "after mutual_edges/drop_steps", "after neighbors", "before collection")
OF_DESCRIBE_AGAIN = ("after samples 2", "before samples/delete_matching", "after samples/delete_matching")
OF_FORGET = ("after descriptions/delete", "within samples/delete", "before descriptor_stats", "before videos/delete")
OF_OPTIMIZE = ("within samples/compact", "after samples/compact", "before runs/compact")


def points(*what: str) -> list[object]:
    marks = [pytest.mark.long, pytest.mark.sampled(60)]
    return [pytest.param(one, marks=marks) for one in what]


def driver(stages: str, warehouse: Path, point: str) -> subprocess.Popen[bytes]:
    """Stages in a process of their own, up to a point. What Spark itself leaves in its folders lies in `tmp`."""
    temporary = warehouse.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    paths = os.pathsep.join([str(Path(kill_points.__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(temporary), "SPARK_LOCAL_DIRS": str(temporary)}
    command = [sys.executable, kill_points.__file__, stages, str(warehouse), point]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, env=environment)


def killed(stages: str, warehouse: Path, point: str) -> None:
    ended = driver(stages, warehouse, point)
    said = ended.communicate()[1].decode()
    assert ended.returncode == -9, f"{point} was never reached: {said[-2000:]}"
    left = {re.split("[-_]", path.name)[0] for path in (warehouse.parent / "tmp").iterdir()}
    assert left <= {"artifacts", "blockmgr", "spark", "torchinductor"}, left  # Spark's and torch's own
    shutil.rmtree(warehouse.parent / "tmp")


def writes(store: TableStore, table: tables.Table) -> int:
    """How often rows were written into a table."""
    newest = store.version(table)
    return 0 if newest is None else sum(one.rows > 0 for one in commits(store.path(table), newest))


@pytest.fixture(scope="module")
def filtered(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder: `begun`, a warehouse with samples; `whole`, the same after an undisturbed filter."""
    folder = tmp_path_factory.mktemp("filter")
    kill_points.fill_samples(spark, folder / "begun")
    shutil.copytree(folder / "begun", folder / "whole")
    kill_points.run_filter(spark, folder / "whole")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def described(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder: `videos`; `whole`, a warehouse in which they are described."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "videos").mkdir()
    kill_points.write_videos(folder / "videos")
    kill_points.run_media(spark, folder / "whole")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def collected(spark: SparkSession, described: Path) -> Path:
    """A warehouse that has a collection, and no index."""
    shutil.copytree(described / "whole", described / "collected")
    kill_points.run_collection(spark, described / "collected")
    return described / "collected"


@pytest.fixture(scope="module")
def sounding(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder: `videos`; `begun`, a warehouse in which they are described; `whole`, with a network of their sound."""
    folder = tmp_path_factory.mktemp("sounding")
    (folder / "videos").mkdir()
    kill_points.write_sounding(folder / "videos")
    kill_points.run_media(spark, folder / "begun")
    shutil.copytree(folder / "begun", folder / "whole")
    kill_points.run_learn(spark, folder / "whole")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("point", points(*(f"{when} {what}" for what in OF_FILTER for when in WHEN), *ROUNDS))
def test_filter(spark: SparkSession, filtered: Path, tmp_path: Path, point: str) -> None:
    warehouse = tmp_path / "warehouse"
    shutil.copytree(filtered / "begun", warehouse)
    killed("filter", warehouse, point)
    store, whole = TableStore(spark, str(warehouse)), TableStore(spark, str(filtered / "whole"))
    kill_points.run_filter(spark, warehouse)
    assert content(store) == content(whole)
    assert left_behind(warehouse) == []
    when, name = point.split()
    again = {
        table.name: writes(store, table) - writes(whole, table) for table in tables.ALL if table is not tables.RUNS
    }
    done = when == "after" and name not in WRITTEN_BEFORE.values()  # then the stage is, and is not done again
    allowed = set() if done else {name, WRITTEN_BEFORE.get(name)}
    assert {table for table, times in again.items() if times} <= allowed and max(again.values()) <= 1


@pytest.mark.parametrize("point", points(*(f"{when} {what}" for what in OF_MEDIA for when in WHEN)))
def test_media(spark: SparkSession, described: Path, point: str) -> None:
    warehouse = described / "warehouse"
    shutil.rmtree(warehouse, ignore_errors=True)
    killed("media", warehouse, point)
    kill_points.run_media(spark, warehouse)
    store, whole = TableStore(spark, str(warehouse)), TableStore(spark, str(described / "whole"))
    assert content(store) == content(whole)
    assert left_behind(warehouse) == []
    when, what = point.split()[:2]  # where a batch has samples and no descriptions yet, it is described again
    lost = (what == "samples" and when != "before") or (what == "descriptions" and when != "after")
    assert writes(store, tables.SAMPLES) - writes(whole, tables.SAMPLES) <= lost
    assert writes(store, tables.DESCRIPTIONS) == writes(whole, tables.DESCRIPTIONS)


@pytest.mark.parametrize("point", points("before index", "after index"))
def test_index(spark: SparkSession, collected: Path, tmp_path: Path, point: str) -> None:
    warehouse = tmp_path / "warehouse"
    shutil.copytree(collected, warehouse)
    killed("index", warehouse, point)
    kill_points.run_index(spark, warehouse)
    folder = index_folder(str(warehouse), "default")
    manifest = read_manifest(folder)
    assert manifest is not None and all(is_whole(folder, shard) for shard in manifest.shards)
    assert manifest.samples == TableStore(spark, str(warehouse)).read(tables.COLLECTION).count() > 0
    generations = {shard.file.partition("/")[0] for shard in manifest.shards}
    assert {path.name for path in Path(folder).iterdir()} == {"manifest.json", *generations}
    assert left_behind(warehouse) == []


OF_LEARN = ("before network", "after network", *(f"{when} audio_learned" for when in WHEN))


@pytest.mark.parametrize("point", points(*OF_LEARN))
def test_learn(spark: SparkSession, sounding: Path, tmp_path: Path, point: str) -> None:
    warehouse = tmp_path / "warehouse"
    shutil.copytree(sounding / "begun", warehouse)
    killed("learn", warehouse, point)
    kill_points.run_learn(spark, warehouse)
    assert content(TableStore(spark, str(warehouse))) == content(TableStore(spark, str(sounding / "whole")))
    assert left_behind(warehouse) == []


@pytest.fixture(scope="module")
def forgotten(spark: SparkSession, filtered: Path) -> Path:
    """The whole filter, less a video."""
    return undisturbed(spark, "forget", filtered / "whole")


@pytest.fixture(scope="module")
def filtered_again(spark: SparkSession, filtered: Path) -> Path:
    """The whole filter, run with other settings since."""
    return undisturbed(spark, "filter-again", filtered / "whole")


@pytest.fixture(scope="module")
def described_again(spark: SparkSession, described: Path) -> Path:
    """The described videos, described with other settings since."""
    return undisturbed(spark, "describe-again", described / "whole")


def undisturbed(spark: SparkSession, stage: str, begun: Path) -> Path:
    """What a stage makes of a warehouse, beside that."""
    place = begun.with_name(stage)
    shutil.copytree(begun, place)
    kill_points.STAGES[stage](spark, place)
    assert content(TableStore(spark, str(place))) != content(TableStore(spark, str(begun)))
    return place


def goes_on(spark: SparkSession, stage: str, point: str, *, begun: Path, warehouse: Path, whole: Path) -> None:
    """Killed at a point, the stage gives the same tables when it is run again."""
    shutil.copytree(begun, warehouse)
    killed(stage, warehouse, point)
    kill_points.STAGES[stage](spark, warehouse)
    assert content(TableStore(spark, str(warehouse))) == content(TableStore(spark, str(whole)))
    assert left_behind(warehouse) == []


@pytest.mark.parametrize("point", points(*OF_FILTER_AGAIN))
def test_filter_again(spark: SparkSession, filtered: Path, filtered_again: Path, tmp_path: Path, point: str) -> None:
    place = tmp_path / "warehouse"
    goes_on(spark, "filter-again", point, begun=filtered / "whole", warehouse=place, whole=filtered_again)


@pytest.mark.parametrize("point", points(*OF_DESCRIBE_AGAIN))
def test_describe_again(
    spark: SparkSession, described: Path, described_again: Path, tmp_path: Path, point: str
) -> None:
    place = tmp_path / "warehouse"
    goes_on(spark, "describe-again", point, begun=described / "whole", warehouse=place, whole=described_again)


@pytest.mark.parametrize("point", points(*OF_FORGET))
def test_forget(spark: SparkSession, filtered: Path, forgotten: Path, tmp_path: Path, point: str) -> None:
    place = tmp_path / "warehouse"
    goes_on(spark, "forget", point, begun=filtered / "whole", warehouse=place, whole=forgotten)
    videos = TableStore(spark, str(place)).read(tables.VIDEOS)
    assert TableStore(spark, str(place)).first_free_id() == 8 > videos.count()


@pytest.mark.parametrize("point", points(*OF_OPTIMIZE))
def test_optimize(spark: SparkSession, described: Path, tmp_path: Path, point: str) -> None:
    place = tmp_path / "warehouse"
    goes_on(spark, "optimize", point, begun=described / "whole", warehouse=place, whole=described / "whole")
    store, whole = TableStore(spark, str(place)), TableStore(spark, str(described / "whole"))
    for table in (tables.SAMPLES, tables.RUNS):
        assert len(store.read(table).inputFiles()) == 1 < len(whole.read(table).inputFiles())
    assert content_of(store, tables.RUNS) == content_of(whole, tables.RUNS)


@pytest.mark.parametrize("point", points(*(f"{when} evaluation" for when in WHEN)))
def test_evaluate(spark: SparkSession, filtered: Path, tmp_path: Path, point: str) -> None:
    """An experiment is in the table once, whole; its outcomes are the same."""
    place = tmp_path / "warehouse"
    shutil.copytree(filtered / "begun", tmp_path / "whole")
    kill_points.run_evaluate(spark, tmp_path / "whole")
    goes_on(spark, "evaluate", point, begun=filtered / "begun", warehouse=place, whole=tmp_path / "whole")
    assert TableStore(spark, str(place)).read(tables.EVALUATION).count() > 0


@pytest.mark.long
@pytest.mark.sampled(60)
@pytest.mark.parametrize(
    ("stage", "kind", "run"), [("knn", "tile", kill_points.run_knn), ("cells", "lists", kill_points.run_cells)]
)
def test_knn_goes_on(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    kind: str,
    run: Callable[[SparkSession, Path], None],
) -> None:
    """Super-tiles, or groups of cells, that were compared before a kill are not compared again."""
    warehouse = tmp_path / "warehouse"
    store = TableStore(spark, str(warehouse))
    fill(store, RawSamples(videos=20, frames=100))
    running = driver(stage, warehouse, "never knn")
    try:
        while len(compared(warehouse, kind)) < 4 and running.poll() is None:
            time.sleep(0.002)
        assert running.poll() is None, "it had ended"
    finally:
        os.killpg(running.pid, 9)
        running.communicate()
    done = {path.name: path.stat().st_mtime_ns for path in compared(warehouse, kind)}
    assert len(done) >= 4
    kept = tmp_path / "kept"
    with monkeypatch.context() as patched:
        patched.setattr(TableStore, "_remove_scratch", lambda _, folder: shutil.copytree(folder, kept))
        run(spark, warehouse)
    now = {path.name: path.stat().st_mtime_ns for path in kept.rglob(f"{kind}-*")}
    assert {name: now[name] for name in done} == done and len(now) > len(done) + 2
    assert left_behind(warehouse) == []
    whole = TableStore(spark, str(tmp_path / "whole"))
    fill(whole, RawSamples(videos=20, frames=100))
    run(spark, tmp_path / "whole")
    assert content(store) == content(whole)
