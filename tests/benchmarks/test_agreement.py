"""Agreement measured: on the labelled collection, as videos multiply, and what it costs beside V+A.

Prints tables; nothing passes or fails by its figures.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement_baselines import clusters_agree, looks_alike, sound_foretold, sounds_alike
from filled_warehouse import fill
from knn_samples import structured_samples
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from avlib.agreement import Described, agreement_in_memory
from avlib.arrays import BoolArray, Float32Array, Float64Array
from avlib.columns import descriptor_rows
from avlib.config import AudioDescriptor, Settings, load_settings
from avlib.descriptors import l2_normalise, normalise_visual
from avlib.evaluation import read_labels, read_samples, read_visual, retrieval_rates
from avlib.evaluation.material import LabelledSamples
from avlib.evaluation.protocol import keep
from avlib.evaluation.protocol import score as score_of
from avlib.identity import sample_ids
from avlib.neighbors import NeighborRule
from avlib.spark import describe, filter, ingest
from avlib.spark.evaluation import strategy_of
from avlib.spark.samples import sound_samples
from avlib.spark.store import TableStore
from avlib.warehouse import Warehouse

HALVES = 6
SOUNDS: tuple[AudioDescriptor, ...] = ("audio_mfcc65", "audio_context")
Score = Callable[[LabelledSamples], Float64Array]
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
    rows = sound_samples(store, *SOUNDS).select("sample_id", *SOUNDS).toArrow().sort_by("sample_id")
    raw = LabelledSamples(
        found.ids,
        found.times_s,
        visual,
        descriptor_rows(rows[SOUNDS[0]]),
        truth,
        found.ids,
        tuple(descriptor_rows(rows[name]) for name in SOUNDS),
    )
    print(f"\n{MACHINE}; {len(raw)} samples of 48 videos, {truth.clean.mean():.0%} clean")
    print("AUROC of clean, clean among the best that hold half of the clean; all videos | 6 random halves |")
    print("pictures of the other half that get a sound of their category by the majority of 5, of the best half kept")
    for name, score in _methods(settings).items():
        measured = []
        for mask in _halves(raw.videos):
            part = raw.take(mask)
            scores = score(part)
            better = np.isin(raw.ids, part.ids[_best_first(scores)[: len(part) // 2]])
            measured.append([*_rates(scores, part.truth.clean), _suggested(raw, mask, better)])
        whole, mean, deviation = measured[0], np.mean(measured[1:], axis=0), np.std(measured[1:], axis=0, ddof=1)
        print(
            f"  {name:<40} {whole[0]:.3f} {whole[1]:4.0%} | {mean[0]:.3f} ± {deviation[0]:.3f} "
            f"{mean[1]:4.0%} ± {deviation[1]:.0%} | {mean[2]:4.0%} ± {deviation[2]:.0%}"
        )
    print("as configured: kept, clean of it, right sounds for pictures of the other half; all | 6 random halves")
    for name in ("unfiltered", *settings.filter.strategies):
        kept_of_each = []
        for mask in _halves(raw.videos):
            part = raw.take(mask)
            strategy = strategy_of(name, settings)
            of_part = keep(part, strategy.steps, NeighborRule(), score_of(part, strategy)) if strategy.steps else True
            kept = np.isin(raw.ids, part.ids[np.broadcast_to(of_part, len(part))])
            kept_of_each.append([kept.sum() / mask.sum(), truth.clean[kept].mean(), _suggested(raw, mask, kept)])
        whole, mean, deviation = kept_of_each[0], np.mean(kept_of_each[1:], axis=0), np.std(kept_of_each[1:], 0, ddof=1)
        print(
            f"  {name:<12} {whole[0]:4.0%} {whole[1]:4.0%} | {mean[0]:4.0%} ± {deviation[0]:.0%} "
            f"{mean[1]:4.0%} ± {deviation[1]:.0%} | {mean[2]:4.0%} ± {deviation[2]:.0%}"
        )


def _methods(settings: Settings) -> dict[str, Score]:
    """How to score samples, by name."""

    def agreement(samples: Described, *audio: AudioDescriptor) -> Float64Array:
        return agreement_in_memory(samples, settings.agreement.model_copy(update={"audio": audio})).scores

    def listening_to(*sounds: AudioDescriptor, treated_as: tuple[AudioDescriptor, ...] = ()) -> Score:
        def score(samples: LabelledSamples) -> Float64Array:
            of_these = replace(samples, sounds=tuple(samples.sounds[SOUNDS.index(sound)] for sound in sounds))
            return agreement(of_these.described(), *(treated_as or sounds))

        return score

    def of_known_sounds(samples: LabelledSamples) -> Float64Array:
        known = replace(samples.described(), sounds=(_known(samples.truth.sound),))
        return agreement(known, "audio_learned")

    def of_known_pictures(samples: LabelledSamples) -> Float64Array:
        return agreement(replace(samples.described(), visual=_known(samples.truth.picture)), *SOUNDS)

    def of_both_known(samples: LabelledSamples) -> Float64Array:
        visual, sounds = _known(samples.truth.picture), (_known(samples.truth.sound),)
        return agreement(replace(samples.described(), visual=visual, sounds=sounds), "audio_learned")

    return {
        "agreement, both": listening_to(*SOUNDS),
        "agreement, audio_mfcc65": listening_to("audio_mfcc65"),
        "agreement, the same not whitened": listening_to("audio_mfcc65", treated_as=("audio_context",)),
        "agreement, audio_context": listening_to("audio_context"),
        "agreement, the same whitened": listening_to("audio_context", treated_as=("audio_mfcc65",)),
        "random": lambda samples: np.random.default_rng(0).random(len(samples)),
        "pictures alone": lambda samples: looks_alike(samples.normalised(), neighbors=6),
        "sound alone": lambda samples: sounds_alike(samples.normalised(), neighbors=6),
        "clusters agree": lambda samples: clusters_agree(samples.normalised(), seed=0),
        "sound foretold": lambda samples: sound_foretold(samples.normalised(), seed=0),
        "agreement, both, classes of pictures known": of_known_pictures,
        "agreement, classes of sounds known": of_known_sounds,
        "agreement, classes of both known": of_both_known,
        "truth": lambda samples: samples.truth.clean.astype(np.float64),
    }


def _suggested(raw: LabelledSamples, mask: BoolArray, kept: BoolArray) -> float:
    """How often clean pictures of videos outside the mask get a sound of their category from what is kept."""
    truth, queries = raw.truth, ~mask & raw.truth.clean
    if not queries.any():
        return float("nan")
    rates = retrieval_rates(raw.visual[queries], truth.picture[queries], raw.visual[kept], truth.take(kept), m=5)
    return rates.majority_sound


def _known(categories: np.ndarray) -> Float32Array:
    """Descriptors that tell the category and nothing else."""
    classes = np.unique(categories)
    noise = np.random.default_rng(0).normal(size=(len(categories), len(classes)))
    return l2_normalise(((categories[:, None] == classes) + 1e-3 * noise).astype(np.float32))


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
    one_sound = load_settings(assignments=['agreement.audio=["audio_mfcc65"]']).agreement
    for videos in (10, 100, 1000):
        samples, clean = _made_up(videos, spread=spread)
        started = time.perf_counter()
        scores = agreement_in_memory(samples, one_sound).scores
        seconds, rate = time.perf_counter() - started, roc_auc_score(clean, scores)
        print(f"  {videos:>5}: {rate:.3f} ({len(samples.ids)} samples, {seconds:.0f} s)")


def _made_up(videos: int, *, spread: float, categories: int = 6, frames: int = 4) -> tuple[Described, BoolArray]:
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
    return Described(ids, (ids & 0xFFFFFF) / 25, visual, (audio,)), picture == sound


def test_cost_beside_v_plus_a(spark: SparkSession, tmp_path: Path) -> None:
    samples = structured_samples(54_000, dimensions=(576, 65))
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, samples, tmp_path)
    seconds: dict[str, float] = {}
    for strategy in ("agreement", "V+A", "agreement"):  # the first one warms up
        started = time.perf_counter()
        settings = load_settings(assignments=[f"filter.strategy={strategy}"])
        filter.run(TableStore(spark, store.warehouse, name=f"{strategy[0]}{len(seconds)}"), settings)
        seconds[strategy] = time.perf_counter() - started
    listed, ratio = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items()), seconds["agreement"] / seconds["V+A"]
    print(f"\n{MACHINE}, local[2]; {len(samples)} x (576 + 65): {listed}; {ratio:.2f} x")
