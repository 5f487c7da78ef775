"""An unchanged pipeline ends before Spark starts; whatever changes, it does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from avlib import tables
from avlib.cli import main
from avlib.config import load_settings
from avlib.inputs import Inputs, find_inputs
from avlib.retrieval.index import index_folder
from avlib.spark import describe, finished, index, learned, pipeline
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

SETTINGS = ["describe.visual_model=hog_color", "describe.frame_stride=5", "knn.k=4", "components.min_size=2"]
SETTINGS += ["filter.strategy=joint"]


def found(*inputs: str) -> Inputs:
    return find_inputs(inputs, extensions=load_settings().ingest.extensions)


@dataclass
class Ran:
    """Videos and a warehouse that the pipeline has been run on."""

    videos: Path
    warehouse: str
    spark: SparkSession

    @property
    def found(self) -> Inputs:
        return found(str(self.videos))

    @property
    def store(self) -> TableStore:
        return TableStore(self.spark, self.warehouse)

    def is_finished(self, *more: str, name: str = "default") -> bool:
        settings = load_settings(assignments=[*SETTINGS, *more])
        return finished.is_finished(self.warehouse, name, settings, self.found)

    def run(self) -> None:
        pipeline.run(self.store, load_settings(assignments=SETTINGS), self.found)


@pytest.fixture(scope="module")
def original(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("finished")
    made = Ran(folder / "videos", str(folder / "warehouse"), spark)
    made.videos.mkdir()
    for number in range(3):
        times_s = np.arange(0.1, 3, 0.01 + 0.004 * number).tolist()
        path = made.videos / f"{number}.mp4"
        write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=times_s, duration_s=4.0)
    made.run()
    return made


@pytest.fixture
def ran(original: Ran, tmp_path: Path) -> Ran:
    """The same videos, and a copy of the warehouse."""
    shutil.copytree(original.warehouse, tmp_path / "warehouse")
    return Ran(original.videos, str(tmp_path / "warehouse"), original.spark)


def test_an_unchanged_pipeline_starts_no_spark(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("avlib.spark.session.get_session", lambda _: pytest.fail("Spark was started"))
    assigned = [part for one in SETTINGS for part in ("--set", one)]
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", str(ran.videos), "-w", ran.warehouse, *assigned])
    assert ended.value.code == 0
    assert "pipeline default: nothing has changed" in capsys.readouterr().err
    monkeypatch.setattr("avlib.inspection.read_failures", lambda _: [{"status": "failed"}])
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", str(ran.videos), "-w", ran.warehouse, *assigned, "--strict"])
    assert ended.value.code == 3


def test_under_spark_submit_spark_is_started_all_the_same(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    monkeypatch.setattr("avlib.spark.session.get_session", lambda given: asked.append(given) or ran.spark)
    assigned = [part for one in SETTINGS for part in ("--set", one)]
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", str(ran.videos), "-w", ran.warehouse, *assigned])
    assert ended.value.code == 0 and len(asked) == 1


def test_samples_without_the_networks_sound_are_left_to_do(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "run", lambda *_: None)
    monkeypatch.setattr(learned, "is_done", lambda _: False)
    damage(ran)
    ran.run()
    assert not ran.is_finished()


def commit(ran: Ran) -> None:
    ran.store.keep_ids()


def damage(ran: Ran) -> None:
    shard = next(Path(index_folder(ran.warehouse, "default")).rglob("*.faiss"))
    shard.write_bytes(shard.read_bytes()[:-1])


def lose(ran: Ran) -> None:
    shutil.rmtree(index_folder(ran.warehouse, "default"))


def reindex(ran: Ran) -> None:
    index.run(ran.store, load_settings(assignments=[*SETTINGS, "index.recall=0.5"]))


def garble(ran: Ran) -> None:
    next(Path(ran.warehouse, "_finished").iterdir()).write_bytes(b"\xff\xfe")


def learn(ran: Ran) -> None:
    Path(ran.warehouse, "models", "audio_learned.json").write_text("{}")


@pytest.mark.parametrize("change", [commit, damage, lose, reindex, garble, learn])
def test_a_changed_warehouse_is_looked_at(ran: Ran, change: Callable[[Ran], None]) -> None:
    assert ran.is_finished()
    change(ran)
    assert not ran.is_finished()


def test_other_inputs_and_settings_are_looked_at(ran: Ran, tmp_path: Path) -> None:
    assert ran.is_finished("serve.most=3", "spark.driver_memory=1g")
    assert not ran.is_finished("knn.k=5")
    assert not ran.is_finished(name="other")
    video = ran.videos / "0.mp4"
    before = video.stat()
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert not ran.is_finished()
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ran.is_finished()
    more = shutil.copy(video, ran.videos / "3.mp4")
    assert not ran.is_finished()
    Path(more).unlink()
    assert ran.is_finished()
    (tmp_path / "list.txt").write_text(f"{video}\n")
    assert finished.hash_of_inputs(load_settings(), found(str(tmp_path / "list.txt"))) is None
    assert finished.hash_of_inputs(load_settings(), found("https://example.org/a.mp4")) is None


def test_what_failed_in_passing_is_tried_again(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = (
        ran.store.read(tables.DESCRIPTIONS)
        .where("video_id = 0")
        .withColumns({"attempt": F.col("attempt") + 1, "transient": F.lit(True), "samples": F.lit(0).cast("long")})
    )
    with monkeypatch.context() as patched:
        patched.setattr(describe, "run", lambda store, _: store.append(tables.DESCRIPTIONS, failed))
        ran.run()
    assert not ran.is_finished()
    ran.run()
    assert ran.is_finished()
