"""The Spark stage gives the scores of the function in memory, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filled_store import fill
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib import tables
from avlib.agreement import agreement_in_memory
from avlib.config import Settings, load_settings
from avlib.errors import ParameterError, WarehouseError
from avlib.filtering import filter_in_memory
from avlib.neighbors import NeighborRule
from avlib.spark import agreement, filter, knn
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def settings(*more: str) -> Settings:
    chosen = ["filter.strategy=agreement", "components.min_size=2", "agreement.references=60"]
    return load_settings(assignments=[*chosen, *more])


def test_filter_begins_with_what_agrees(spark: SparkSession, tmp_path: Path) -> None:
    raw = RawSamples(videos=8)
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, raw)
    chosen = settings("agreement.doubt=0.7", "knn.block_rows=64", "knn.k=5")
    filter.run(store, chosen)

    expected = agreement_in_memory(raw.described(), chosen.agreement)
    rows = store.read(tables.SCORES).toArrow().sort_by("sample_id")
    assert rows["sample_id"].to_pylist() == raw.ids.tolist()
    assert rows["score"].to_pylist() == expected.scores.tolist()
    assert rows["kept"].to_pylist() == expected.kept.tolist()
    assert rows["videos"].to_pylist() == expected.videos.tolist()
    named = [[one for one in row if one >= 0] for row in expected.supporters.tolist()]
    assert rows["supporters"].to_pylist() == named

    steps = chosen.filter.steps
    left = filter_in_memory(raw.normalised(), steps=steps, rule=NeighborRule(), among=expected.kept)[-1]
    collection = store.read(tables.COLLECTION).select("sample_id", "score").toArrow().sort_by("sample_id")
    assert collection["sample_id"].to_pylist() == left.sample_ids.tolist()
    at = np.searchsorted(raw.ids, left.sample_ids)
    assert collection["score"].to_pylist() == expected.scores[at].tolist()
    assert 0 < len(left.sample_ids) <= expected.kept.sum() < len(raw.ids)

    store.clear(tables.SCORES)
    with pytest.raises(WarehouseError, match="avlib agreement"):
        knn.run(store, chosen, 0)


def test_nothing_agrees(spark: SparkSession, tmp_path: Path) -> None:
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, RawSamples(videos=4, seed=1))
    filter.run(store, settings("agreement.keep=0.001"))
    assert store.read(tables.SCORES).where("kept").count() == 1
    assert store.read(tables.COLLECTION).isEmpty()


def test_one_video_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, RawSamples(videos=1))
    with pytest.raises(ParameterError, match="videos"):
        agreement.run(store, settings())
