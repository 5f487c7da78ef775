"""Copies through Spark: the same as in memory, and left out of what a scored strategy looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filled_store import fill
from planted_copies import planted
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.copies import copies_in_memory
from avlib.descriptors import DescriptorStats
from avlib.spark import agreement, copies, knn
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


class PlantedSamples(RawSamples):
    """The planted copies, as the Spark stages take samples."""

    def __init__(self) -> None:
        made = planted()
        self.ids, self.times_s, self.visual, self.audio = made.ids, made.times_s, made.visual, made.audio
        audio = made.audio.astype(np.float64)
        self.stats = DescriptorStats(audio.mean(axis=0), audio.std(axis=0), len(audio))
        self.context, self.context_stats = self.audio, self.stats


def settings(*more: str) -> Settings:
    chosen = ["filter.strategy=agreement", "agreement.keep=1", "agreement.references=60", "knn.k=5"]
    return load_settings(assignments=[*chosen, *more])


def test_copies_are_left_out(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, store = PlantedSamples(), TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, raw)
    agreement.run(store, settings())
    expected = copies_in_memory(raw.normalised(), settings().copies)
    found = store.read(tables.COPIES).toArrow().sort_by("sample_id")
    assert found["sample_id"].to_pylist() == expected.ids.tolist()
    assert found["copy_of"].to_pylist() == expected.originals.tolist()
    assert len(expected.ids) > 50
    others = np.setdiff1d(raw.ids, expected.ids).tolist()
    scored = store.read(tables.SCORES).toArrow()
    assert sorted(scored["sample_id"].to_pylist()) == others
    assert not np.isin(np.concatenate(scored["supporters"].to_numpy()), expected.ids).any()
    said = capsys.readouterr().err
    assert f"1 videos are copies of others in whole, 1 in part: {len(expected.ids)} of 480 samples" in said


@pytest.mark.long
def test_the_papers_strategies_keep_copies_unless_asked(spark: SparkSession, tmp_path: Path) -> None:
    raw, store, paper = PlantedSamples(), TableStore(spark, str(tmp_path / "warehouse")), "filter.strategy=joint"
    fill(store, raw)
    always = settings(paper, "copies.drop=always")
    copies.run(store, always)
    knn.run(store, always, 0)
    listed = store.read(tables.NEIGHBORS, step=0).select("sample_id").toArrow()["sample_id"].to_pylist()
    assert sorted(listed) == np.setdiff1d(raw.ids, copies_in_memory(raw.normalised(), always.copies).ids).tolist()
    copies.run(store, settings(paper))
    assert store.read(tables.COPIES).isEmpty()
