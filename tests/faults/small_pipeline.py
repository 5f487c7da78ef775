"""A pipeline of a minute: its videos, its options, its rows in local mode, and whether another run gives the same."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from cluster import JOBS, Cluster, Started
from row_hashes import left_behind, row_hashes

from avlib.cli import main
from avlib.demo import make_collection

SETTINGS = ["describe.visual_model=hog_color", "describe.frame_stride=5", "knn.k=5", "components.min_size=2"]
SETTINGS += ["describe.batch_videos=4", "filter.strategy=joint", "knn.block_rows=16"]
OPTIONS = [option for setting in SETTINGS for option in ("--set", setting)]
WITHIN_S = 400


def make_videos(folder: Path) -> Path:
    """Six, in a folder. One has a name that is no path, no URI and no command."""
    videos = make_collection(folder, videos=6, processes=2).videos_dir
    first = min(videos.iterdir())
    return first.rename(videos / f"$(id)'\"*%2e {{a}} ünd;&..{first.suffix}").parent


def local_rows(videos: Path, warehouse: Path) -> dict[str, str]:
    """The rows by embedded Spark; what it writes stays in `warehouse`."""
    with pytest.raises(SystemExit) as exit_:
        main(["pipeline", str(videos), "-w", str(warehouse), *OPTIONS])
    assert not exit_.value.code
    rows = row_hashes(warehouse)
    assert len(rows) > 8 and "collection" in rows
    return rows


def submit(cluster: Cluster, videos: Path, warehouse: Path, conf: Mapping[str, str] | None = None) -> Started:
    """The driver of the same pipeline on a cluster."""
    return cluster.submit(JOBS / "pipeline.py", [str(videos), "-w", str(warehouse), *OPTIONS], conf=conf)


def wait_until_inside(stage: str, cluster: Cluster, driver: Started, warehouse: Path) -> Started:
    """Until tasks of a stage (describe, knn) run, of knn until one has compared. Returns a worker that runs one."""
    begun = f"*/{stage}-*" if stage == "describe" else f"*/{stage}-*/**/tile-*.arrow"
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline and driver.popen.poll() is None:
        if any((warehouse / "_scratch").glob(begun)):
            for worker in cluster.workers:
                if worker.family("avlib.media.child" if stage == "describe" else "avlib.spark.daemon"):
                    return worker
        time.sleep(0.005)
    raise AssertionError(f"{stage} was not seen:\n{driver.log.read_text(errors='replace')[-4000:]}")


def check(driver: Started, cluster: Cluster, warehouse: Path, expected: dict[str, str]) -> None:
    """The driver ends well; its rows are those of local mode; nothing else is left, nor named after an input."""
    assert driver.finished(within_s=WITHIN_S) == 0, driver.log.read_text(errors="replace")[-4000:]
    assert row_hashes(warehouse) == expected
    assert left_behind(warehouse) == []
    assert [path for path in warehouse.rglob("*") if not re.fullmatch(r"[\w.=-]+", path.name, re.ASCII)] == []
    assert cluster.leftovers() == []
