"""Hundreds of small jobs in one process: memory stays flat, no file stays behind."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from filled_store import fill
from kill_points import left_behind
from media_files import write_flash_and_click
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib.config import load_settings
from avlib.spark import components, describe, ingest, knn, mutual_edges
from avlib.spark.samples import latest_descriptions
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.faults, pytest.mark.long]

JOBS = int(os.environ.get("AVLIB_SOAK_JOBS", "300"))
WARM_UP = JOBS // 3
DESCRIBE = ("describe.visual_model=hog_color", "describe.frame_stride=5")
GROWTH_BYTES = 40 << 20  # of live objects; a leak of a small job is some hundred KB a job
JVM_GROWTH_BYTES = 512 << 20  # resident; its heap is collected when it likes


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def heap_bytes(spark: SparkSession) -> int:
    """What lives in the JVM's heap."""
    jvm = spark._jvm
    assert jvm is not None
    runtime = jvm.java.lang.Runtime.getRuntime()
    found = []
    for _ in range(3):
        jvm.java.lang.System.gc()
        time.sleep(0.3)
        found.append(runtime.totalMemory() - runtime.freeMemory())
    return int(min(found))


def test_soak(spark: SparkSession, tmp_path: Path) -> None:
    store, media = (TableStore(spark, str(tmp_path / name)) for name in ("warehouse", "media"))
    fill(store, RawSamples())
    video = tmp_path / "videos" / "video.mp4"
    video.parent.mkdir()
    write_flash_and_click(video, video_codec="mpeg4", audio_codec="aac", times_s=(0.2, 0.6), duration_s=1.0)
    folder = Path(tempfile.gettempdir())
    memory: list[tuple[int, ...]] = []
    files: list[int] = []
    for job in range(JOBS):
        settings = load_settings(
            assignments=["filter.strategy=joint", f"knn.k={3 + job // 4 % 2}", "components.min_size=2", *DESCRIBE]
        )
        match job % 4:
            case 0:
                knn.run(store, settings, 0)
            case 1:
                mutual_edges.run(store, 0)
            case 2:
                components.run(store, settings, 0)
            case 3:
                os.utime(video)  # another file, as far as one can tell without reading it
                ingest.run(media, settings, [str(video)])
                describe.run(media, settings)
        if job + 1 in (WARM_UP, JOBS) or (job + 1) % 50 == 0:
            memory.append((heap_bytes(spark), resident_bytes(os.getpid()), resident_bytes(store.jvm_process)))
            files.append(sum(1 for _ in folder.glob("avlib-*")) + sum(1 for _ in Path("/proc/self/fd").iterdir()))
            heap, own, jvm = (size >> 20 for size in memory[-1])
            print(f"\n{job + 1} jobs: JVM heap {heap} MB, resident: JVM {jvm} MB, Python {own} MB; {files[-1]} files")
        if job + 1 == WARM_UP:
            warm, warm_files = memory[-1], files[-1]
    assert memory[-1][0] - warm[0] < GROWTH_BYTES
    assert memory[-1][1] - warm[1] < GROWTH_BYTES
    assert memory[-1][2] - warm[2] < JVM_GROWTH_BYTES
    assert files[-1] <= warm_files + 2
    assert left_behind(tmp_path) == []
    (described,) = latest_descriptions(media).collect()
    assert (described["status"], described["attempt"]) == ("ok", JOBS // 4)
