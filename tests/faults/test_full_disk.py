"""A disk that is full in any stage: one line that says so, readable tables, the same rows once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kill_points
import pytest
from kill_points import content, filter_settings, left_behind, media_settings, rows_and_hash
from pyspark.sql import SparkSession

from avlib.errors import WarehouseError
from avlib.spark import (
    agreement,
    collection,
    components,
    copies,
    describe,
    index,
    ingest,
    knn,
    learn,
    mutual_edges,
    runs,
)
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.faults]


NOTHING = rows_and_hash([])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(disk: Path, *, leave_bytes: int) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave_bytes)
    return filler


def meets_a_full_disk(store: TableStore, disk: Path, stage: Callable[[], object], *, leave_bytes: int = 8192) -> None:
    before = content(store)
    filler = fill_up(disk, leave_bytes=leave_bytes)
    with pytest.raises(WarehouseError) as raised:
        stage()
    said = str(raised.value)
    assert "no space left on the device; make room there and run" in said, said
    assert str(disk) in said and len(said.splitlines()) == 1
    after = content(store)
    assert after == {name: before.get(name, NOTHING) for name in after} and set(before) <= set(after)
    filler.unlink()
    stage()


@pytest.mark.long
@pytest.mark.sampled(60)
def test_filter(spark: SparkSession, tmp_path: Path, small_disk: Path) -> None:
    kill_points.fill_samples(spark, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", small_disk / "warehouse")
    kill_points.run_filter(spark, tmp_path / "whole")
    store, settings = TableStore(spark, str(small_disk / "warehouse")), filter_settings()
    stages: list[Callable[[], object]] = [lambda: copies.run(store, settings), lambda: agreement.run(store, settings)]
    stages += [lambda: knn.run(store, settings, 0), lambda: mutual_edges.run(store, 0)]
    stages += [lambda: components.run(store, settings, 0), lambda: collection.run(store, settings, 0)]
    for stage in stages:
        meets_a_full_disk(store, small_disk, stage)
    assert content(store) == content(TableStore(spark, str(tmp_path / "whole")))
    kill_points.run_evaluate(spark, tmp_path / "whole")
    meets_a_full_disk(store, small_disk, lambda: kill_points.run_evaluate(spark, small_disk / "warehouse"))
    assert content(store) == content(TableStore(spark, str(tmp_path / "whole")))
    assert left_behind(small_disk / "warehouse") == []


@pytest.mark.long
@pytest.mark.sampled(60)
def test_media(spark: SparkSession, tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "videos").mkdir()
    kill_points.write_videos(tmp_path / "videos")
    kill_points.run_media(spark, tmp_path / "whole")
    store, settings = TableStore(spark, str(small_disk / "warehouse")), media_settings()
    meets_a_full_disk(store, small_disk, lambda: ingest.run(store, settings, [str(tmp_path / "videos")]))
    meets_a_full_disk(store, small_disk, lambda: describe.run(store, settings), leave_bytes=100_000)
    assert content(store) == content(TableStore(spark, str(tmp_path / "whole")))
    kill_points.run_filter(spark, small_disk / "warehouse")
    meets_a_full_disk(store, small_disk, lambda: index.run(store, filter_settings()))
    assert left_behind(small_disk / "warehouse") == []


@pytest.mark.long
@pytest.mark.sampled(60)
def test_what_lays_out_and_forgets(spark: SparkSession, tmp_path: Path, small_disk: Path) -> None:
    kill_points.fill_samples(spark, tmp_path / "whole")
    kill_points.run_filter(spark, tmp_path / "whole")
    kill_points.run_filter_again(spark, tmp_path / "whole")  # a second file of `runs`
    shutil.copytree(tmp_path / "whole", small_disk / "warehouse")
    kill_points.run_optimize(spark, tmp_path / "whole")
    kill_points.run_forget(spark, tmp_path / "whole")
    place, store = small_disk / "warehouse", TableStore(spark, str(small_disk / "warehouse"))
    for work in (kill_points.run_optimize, kill_points.run_forget):
        before, filler = content(store), fill_up(small_disk, leave_bytes=0)
        with pytest.raises(WarehouseError, match="no space left on the device; make room there and run") as raised:
            work(spark, place)
        assert str(small_disk) in str(raised.value)
        assert content(store) == before
        filler.unlink()
        work(spark, place)
    assert content(store) == content(TableStore(spark, str(tmp_path / "whole")))
    assert left_behind(place) == []


@pytest.mark.long
@pytest.mark.sampled(60)
def test_learn(spark: SparkSession, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full before the sound of the videos is written, when the training begins, and when all is done but its record."""
    (tmp_path / "videos").mkdir()
    kill_points.write_sounding(tmp_path / "videos")
    kill_points.run_media(spark, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", small_disk / "warehouse")
    kill_points.run_learn(spark, tmp_path / "whole")
    store, settings = TableStore(spark, str(small_disk / "warehouse")), media_settings()
    for owner, name in ((learn, "_read_tracks"), (learn, "_train"), (runs, "_enter")):
        work = getattr(owner, name)

        def filled(*given: Any, work: Callable[..., Any] = work, **options: Any) -> Any:
            filler = fill_up(small_disk, leave_bytes=0)
            try:
                return work(*given, **options)
            finally:
                filler.unlink()

        with monkeypatch.context() as patched, pytest.raises(WarehouseError) as raised:
            patched.setattr(owner, name, filled)
            learn.run(store, settings)
        assert "no space left on the device; make room there and run" in str(raised.value), (name, str(raised.value))
    learn.run(store, settings)
    assert content(store) == content(TableStore(spark, str(tmp_path / "whole")))
    assert left_behind(small_disk / "warehouse") == []
