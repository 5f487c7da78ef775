"""The corruption experiment on the labelled collection at 5 frames a second: 10 ratios, 6 strategies, 5 seeds, 5 folds.

Reads ../shared/data/collection (see README, Contributing). By default three ratios and one seed are run, once with the
parameters chosen and once with them fixed, and the whole is extrapolated: choosing grows with the ratios, the points
with ratios and seeds. With AVLIB_BENCHMARK_WHOLE=1 all of it is run. Nothing fails by its figures.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from pyspark.sql import SparkSession

from avlib.config import Settings, load_settings
from avlib.evaluation import read_labels
from avlib.evaluation.material import Material
from avlib.spark import describe, evaluation, ingest
from avlib.spark.store import TableStore

RATIOS, SEEDS = 10, 5
SOME = (0.0, 0.4, 0.8)  # ratios, unless all of them are asked for
TARGET_S = 15 * 60


def settings_for(shared_data: Path, *more: str) -> Settings:
    assignments = [
        "describe.visual_model=mobilenet_v2",
        f"describe.visual_weights={shared_data / 'weights' / 'mobilenet_v2-imagenet.pth'}",
        "describe.frame_stride=5",
        "filter.strategies.V=[{w_V=1.0,w_A=0.0}]",
        'evaluate.strategies=["unfiltered","random","V+A","A+V","joint","V"]',
        "knn.k=5",  # where nothing is chosen
        "components.min_size=10",
    ]
    return load_settings(assignments=[*assignments, *more])


def seconds(store: TableStore, material: Material, settings: Settings) -> float:
    started = time.monotonic()
    outcomes = evaluation.run_protocol(store, material, evaluation.protocol_of(settings), settings.evaluate)
    chosen = settings.evaluate
    assert len(outcomes) == len(chosen.ratios) * chosen.seeds * chosen.folds * len(chosen.strategies)
    return time.monotonic() - started


def test_the_whole_corruption_experiment(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    collection = shared_data / "collection"
    store, settings = TableStore(spark, str(tmp_path / "warehouse")), settings_for(shared_data)
    ingest.run(store, settings, [str(collection / "videos")])
    describe.run(store, settings)
    material = evaluation.read_material(store, read_labels(collection / "labels.csv"), settings)
    print(f"\n{platform.processor() or platform.machine()}, local[2], load {os.getloadavg()[0]:.1f} at the start")
    print(f"{len(material.clean)} clean samples, {len(material.outside)} sounds outside, 6 strategies, 5 folds")
    if os.environ.get("AVLIB_BENCHMARK_WHOLE"):
        whole_s = seconds(store, material, settings)
        print(f"{RATIOS} ratios, {SEEDS} seeds: {whole_s:.0f} s, of {TARGET_S} s aimed at")
        return
    some = f"evaluate.ratios={list(SOME)}"
    points_s = seconds(store, material, settings_for(shared_data, some, "evaluate.seeds=1", "evaluate.choose=false"))
    both_s = seconds(store, material, settings_for(shared_data, some, "evaluate.seeds=1"))
    choosing_s = both_s - points_s
    whole_s = (choosing_s + SEEDS * points_s) * RATIOS / len(SOME)
    print(f"{len(SOME)} ratios, 1 seed: choosing parameters {choosing_s:.0f} s, points {points_s:.0f} s")
    print(f"extrapolated to {RATIOS} ratios, {SEEDS} seeds: {whole_s:.0f} s, of {TARGET_S} s aimed at")
