"""learn: training under Spark, the pass over the sound, and a filter that looks at what was learned."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click
from pyspark.sql import SparkSession

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.errors import WarehouseError
from avlib.models import read_sound_model
from avlib.retrieval.index import index_folder, read_manifest
from avlib.spark import describe, filter, index, ingest, learn
from avlib.spark.samples import live_samples
from avlib.spark.stats import latest_stats
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

QUICK = ["steps=3", "pairs=4", "checkpoint_steps=2", "channels=[4, 6, 8]", "track.n_mels=12", "window_s=0.5"]


def settings(*more: str) -> Settings:
    chosen = ["describe.visual_model=hog_color", "describe.frame_stride=5", "filter.audio=audio_learned", "knn.k=5"]
    chosen += ["filter.strategy=V+A"]
    learned = [f"learn.{word}" for word in QUICK]
    return load_settings(assignments=[*chosen, *learned, "components.min_size=2", *more])


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(5):
        times_s = np.arange(0.1, 3, 0.01 + 0.004 * number).tolist()  # a buzz of some pitch, then silence
        path = folder / f"{number}.mp4"
        write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=times_s, duration_s=6.0)
    return folder


def learned_rows(store: TableStore) -> dict[int, str]:
    """Sample → model. Fails where a sample has two."""
    rows = store.read(tables.AUDIO_LEARNED).collect()
    assert len({row["sample_id"] for row in rows}) == len(rows)
    return {row["sample_id"]: row["model"] for row in rows}


def ids(store: TableStore) -> set[int]:
    return {row["sample_id"] for row in live_samples(store).select("sample_id").collect()}


def test_learn(spark: SparkSession, tmp_path: Path, videos: Path) -> None:
    store = TableStore(spark, str(tmp_path))
    ingest.run(store, settings(), [str(videos)])
    describe.run(store, settings())
    with pytest.raises(WarehouseError, match="no sample has the sound descriptor audio_learned; run `avlib learn"):
        filter.run(store, settings())

    learn.run(store, settings())
    model = read_sound_model(store.warehouse)
    assert model is not None and f"-{model.model_hash[:16]}.safetensors" in model.weights
    assert (tmp_path / model.weights).is_file() and not (tmp_path / "_learning").exists()
    assert set(learned_rows(store)) == ids(store) and set(learned_rows(store).values()) == {model.model_hash}
    run = store.read(tables.RUNS).where("stage = 'learn'").collect()
    assert len(run) == 1 and "3 steps on 3 videos" in run[0]["summary"]
    values = np.array([row[0] for row in store.read(tables.AUDIO_LEARNED).select("audio_learned").collect()])
    assert values.shape[1] == 16
    np.testing.assert_allclose(latest_stats(store, "audio_learned").mean, values.mean(axis=0), atol=1e-4)
    assert latest_stats(store, "audio_context").mean.shape == (80,)

    filter.run(store, settings())
    kept = store.read(tables.COLLECTION).select("sample_id", "audio", "audio_descriptor").collect()
    by_id = dict(zip(learned_rows(store), values.tolist(), strict=True))
    assert kept and {row["audio_descriptor"] for row in kept} == {"audio_learned"}
    assert all(row["audio"] == by_id[row["sample_id"]] for row in kept)
    index.run(store, settings())
    manifest = read_manifest(index_folder(store.warehouse, store.name))
    assert manifest is not None and manifest.audio == "audio_learned" and len(manifest.mean) == 16

    version = store.version(tables.AUDIO_LEARNED)
    learn.run(store, settings())
    assert store.version(tables.AUDIO_LEARNED) == version and read_sound_model(store.warehouse) == model


@pytest.mark.long
def test_new_and_lost_videos(
    spark: SparkSession, tmp_path: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A video that is new is described with the network that is there; one that is gone costs itself only."""
    store, folder = TableStore(spark, str(tmp_path / "warehouse")), tmp_path / "videos"
    shutil.copytree(videos, folder)
    ingest.run(store, settings(), [str(folder)])
    describe.run(store, settings())
    learn.run(store, settings())
    model = read_sound_model(store.warehouse)
    before, content = ids(store), (folder / "0.mp4").read_bytes()
    (folder / "new.mp4").write_bytes(content + bytes(8))
    ingest.run(store, settings(), [str(folder)])
    describe.run(store, settings())
    assert set(learned_rows(store)) == ids(store) > before
    (folder / "0.mp4").unlink()
    again = settings("learn.seed=1")
    learn.run(store, again)
    other = read_sound_model(store.warehouse)
    assert model is not None and other is not None and other.model_hash != model.model_hash
    assert set(learned_rows(store).values()) == {other.model_hash}
    gone = {sample for sample in ids(store) if sample not in learned_rows(store)}
    assert gone and len({sample >> 24 for sample in gone}) == 1
    assert "no audio_learned of" in capsys.readouterr().err
