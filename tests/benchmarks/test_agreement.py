"""Agreement measured: on the labelled collection, as videos multiply, and what it costs beside V+A.

Prints tables; nothing passes or fails by its figures.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from agreement_baselines import clusters_agree, looks_alike, sound_foretold, sounds_alike
from filled_warehouse import fill
from knn_samples import structured_samples
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from avlib.agreement import agreement_in_memory
from avlib.arrays import BoolArray, Float64Array
from avlib.columns import descriptor_rows
from avlib.config import Settings, load_settings
from avlib.descriptors import ExactSums, l2_normalise, normalise_audio, normalise_visual
from avlib.evaluation import Truth, read_labels, read_samples, read_visual, retrieval_rates
from avlib.identity import sample_ids, video_ids
from avlib.neighbors import Block
from avlib.spark import describe, filter, ingest
from avlib.spark.samples import audio_samples
from avlib.spark.store import TableStore
from avlib.warehouse import Warehouse

HALVES = 6
MACHINE = platform.processor() or platform.machine()


def collection_settings(shared_data: Path) -> Settings:
    weights = shared_data / "weights" / "mobilenet_v2-imagenet.pth"
    return load_settings(
        assignments=[
            "describe.visual_model=mobilenet_v2",
            f"describe.visual_weights={weights}",
            "describe.frame_stride=5",
        ]
    )


def test_scores_on_the_collection(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    collection, settings = shared_data / "collection", collection_settings(shared_data)
    store = TableStore(spark, str(tmp_path / "warehouse"))
    ingest.run(store, settings, [str(collection / "videos")])
    describe.run(store, settings)
    found, visual = read_samples(Warehouse(store.warehouse)), normalise_visual(read_visual(Warehouse(store.warehouse)))
    truth = found.truth(read_labels(collection / "labels.csv"))
    print(f"\n{MACHINE}; {len(found)} samples of 48 videos, {truth.clean.mean():.0%} clean")
    print("AUROC of clean, clean among the best that hold half of the clean; all videos | 6 random halves |")
    print("pictures of the other half that get a sound of their category by the majority of 5, of the best half kept")
    for descriptor in ("audio_mfcc65", "audio_context"):
        rows = audio_samples(store, descriptor).select("sample_id", "audio").toArrow().sort_by("sample_id")
        raw = Block(found.ids, visual, descriptor_rows(rows["audio"]), found.times_s)
        _print_scores(descriptor, raw, truth, settings)


def _print_scores(descriptor: str, raw: Block, truth: Truth, settings: Settings) -> None:
    def agreement(samples: Block) -> Float64Array:
        return agreement_in_memory(samples, settings.agreement).scores

    def by_chance(samples: Block) -> Float64Array:
        return np.random.default_rng(0).random(len(samples))

    methods: dict[str, Callable[[Block], Float64Array]] = {
        "agreement": agreement,
        "random": by_chance,
        "pictures alone": lambda samples: looks_alike(samples, neighbors=6),
        "sound alone": lambda samples: sounds_alike(samples, neighbors=6),
        "clusters agree": lambda samples: clusters_agree(samples, seed=0),
        "sound foretold": lambda samples: sound_foretold(samples, seed=0),
        "agreement of classes": lambda samples: agreement(_known(samples, truth, raw.ids)),
        "truth": lambda samples: truth.clean[np.searchsorted(raw.ids, samples.ids)].astype(np.float64),
    }
    print(descriptor)
    for name, score in methods.items():
        measured = []
        for mask in _halves(video_ids(raw.ids)):
            scores = score(_normalised(raw, mask))
            measured.append([*_rates(scores, truth.clean[mask]), _suggested(raw, truth, mask, scores)])
        whole, mean, deviation = measured[0], np.mean(measured[1:], axis=0), np.std(measured[1:], axis=0, ddof=1)
        print(
            f"  {name:<20} {whole[0]:.3f} {whole[1]:4.0%} | {mean[0]:.3f} ± {deviation[0]:.3f} "
            f"{mean[1]:4.0%} ± {deviation[1]:.0%} | {mean[2]:4.0%} ± {deviation[2]:.0%}"
        )


def _suggested(raw: Block, truth: Truth, mask: BoolArray, scores: Float64Array) -> float:
    """How often clean pictures of the other videos get a sound of their category, from the better half of these."""
    queries = ~mask & truth.clean
    if not queries.any():
        return float("nan")
    kept = np.flatnonzero(mask)[_best_first(scores)[: mask.sum() // 2]]
    rates = retrieval_rates(raw.visual[queries], truth.picture[queries], raw.visual[kept], truth.take(kept), m=5)
    return rates.majority_sound


def _normalised(raw: Block, mask: BoolArray) -> Block:
    sums = ExactSums.empty(raw.audio.shape[1])
    sums.update(raw.audio[mask])
    audio = normalise_audio(raw.audio[mask], sums.stats())
    return Block(raw.ids[mask], raw.visual[mask], audio, raw.times_s[mask])


def _known(samples: Block, truth: Truth, ids: np.ndarray) -> Block:
    """The same with sounds that tell their category and nothing else."""
    sounds = truth.sound[np.searchsorted(ids, samples.ids)]
    classes = np.unique(truth.sound)
    noise = np.random.default_rng(0).normal(size=(len(samples), len(classes)))
    audio = l2_normalise(((sounds[:, None] == classes) + 1e-3 * noise).astype(np.float32))
    return Block(samples.ids, samples.visual, audio, samples.times_s)


def _halves(videos: np.ndarray) -> list[BoolArray]:
    """All, and random halves of the videos."""
    random, known = np.random.default_rng(1), np.unique(videos)
    halves = [np.isin(videos, random.permutation(known)[: len(known) // 2]) for _ in range(HALVES)]
    return [np.ones(len(videos), bool), *halves]


def _best_first(scores: Float64Array) -> np.ndarray:
    """Rows in order of their scores, equal ones in random order."""
    return np.lexsort((np.random.default_rng(0).random(len(scores)), -scores))


def _rates(scores: Float64Array, clean: BoolArray) -> tuple[float, float]:
    order = _best_first(scores)
    half = int(np.searchsorted(np.cumsum(clean[order]), clean.sum() / 2)) + 1
    return float(roc_auc_score(clean, scores)), float(clean[order][:half].mean())


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_scores_as_videos_multiply(spread: float) -> None:
    print(f"\n{MACHINE}; made-up descriptors of 6 categories, spread {spread}; AUROC by videos a category")
    for videos in (10, 100, 1000):
        samples, clean = _made_up(videos, spread=spread)
        started = time.perf_counter()
        scores = agreement_in_memory(samples, load_settings().agreement).scores
        seconds, rate = time.perf_counter() - started, roc_auc_score(clean, scores)
        print(f"  {videos:>5}: {rate:.3f} ({len(samples)} samples, {seconds:.0f} s)")


def _made_up(videos: int, *, spread: float, categories: int = 6, frames: int = 4) -> tuple[Block, BoolArray]:
    """Of every category so many videos, a third of them with speech, music or another category's sound instead."""
    random = np.random.default_rng(0)
    picture = np.repeat(np.arange(categories * videos) % categories, frames)
    noisy = np.repeat(random.random(categories * videos) < 1 / 3, frames)
    sound = np.where(noisy, np.repeat(random.integers(0, categories + 2, categories * videos), frames), picture)
    centres = [random.normal(size=(categories + 2, d)) for d in (64, 32)]
    of_video = [np.repeat(random.normal(size=(categories * videos, d)), frames, axis=0) for d in (64, 32)]
    rows = [
        centre[kind] + spread * video + 0.3 * random.normal(size=video.shape)
        for centre, kind, video in zip(centres, (picture, sound), of_video, strict=True)
    ]
    ids = np.concatenate([sample_ids(video, np.arange(frames) * 5) for video in range(categories * videos)])
    visual, audio = (l2_normalise(one.astype(np.float32)) for one in rows)
    return Block(ids, visual, audio, (ids & 0xFFFFFF) / 25), picture == sound


def test_cost_beside_v_plus_a(spark: SparkSession, tmp_path: Path) -> None:
    samples = structured_samples(54_000, dimensions=(576, 65))
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, samples, tmp_path)
    seconds = {}
    for strategy in ("agreement", "V+A", "agreement"):  # the first one warms up
        started = time.perf_counter()
        settings = load_settings(assignments=[f"filter.strategy={strategy}"])
        filter.run(TableStore(spark, store.warehouse, name=f"{strategy[0]}{len(seconds)}"), settings)
        seconds[strategy] = time.perf_counter() - started
    listed, ratio = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items()), seconds["agreement"] / seconds["V+A"]
    print(f"\n{MACHINE}, local[2]; {len(samples)} x (576 + 65): {listed}; {ratio:.2f} x")
