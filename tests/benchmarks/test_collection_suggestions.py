"""What the paper's strategies do for the labelled collection: kept, clean, and the sounds suggested for pictures.

Reads ../shared/data/collection (see README, Contributing). Prints a table; nothing passes or fails by its figures,
except that every WAV must be the right stretch of the right video.
"""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile
from pyspark.sql import SparkSession
from scipy.signal import correlate

from avlib import tables
from avlib.arrays import Float32Array
from avlib.columns import descriptor_rows
from avlib.config import Settings, load_settings
from avlib.descriptors import normalise_visual
from avlib.evaluation import Cleanliness, Labels, StrArray, answer_rates, read_labels, retrieval_rates
from avlib.inputs import find_inputs, video_name
from avlib.media import open_picture
from avlib.retrieval.answers import Answer, Workshop
from avlib.retrieval.suggest import Suggester, Suggestion, Wish
from avlib.sources import Sources
from avlib.spark import filter, index, pipeline
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore
from avlib.warehouse import Warehouse

DURATION_S = 2.0
TOLERANCE_S = 0.02


def settings_for(shared_data: Path, strategy: str) -> Settings:
    weights = shared_data / "weights" / "mobilenet_v2-imagenet.pth"
    return load_settings(
        assignments=[
            "describe.visual_model=mobilenet_v2",
            f"describe.visual_weights={weights}",
            "describe.frame_stride=5",
            f"filter.strategy={strategy}",
        ]
    )


def test_suggestions_for_held_out_pictures(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    collection = shared_data / "collection"
    labels = read_labels(collection / "labels.csv")
    pictures = sorted(collection.glob("queries/*/*"))
    categories = np.array([picture.parent.name for picture in pictures])
    warehouse = str(tmp_path / "warehouse")

    started = time.monotonic()
    store = TableStore(spark, warehouse)
    settings = settings_for(shared_data, "V+A")
    pipeline.run(store, settings, find_inputs([str(collection / "videos")], extensions=settings.ingest.extensions))
    print(f"\n{platform.processor() or platform.machine()}, local[2]; pipeline {time.monotonic() - started:.0f} s")
    print(f"{'samples':<12} kept  clean | sound right: best, majority of 5 | picture right: best")
    _print_unfiltered(store, labels, pictures, categories, settings_for(shared_data, "V+A"))

    for strategy, name in (("V+A", "default"), ("A+V", "a-v"), ("joint", "joint")):
        settings = settings_for(shared_data, strategy)
        of_run = TableStore(spark, warehouse, name=name)
        if name != "default":
            filter.run(of_run, settings)
            index.run(of_run, settings)
        suggester = Suggester(Warehouse(warehouse, name=name), settings.suggest)
        with Sources(settings.fetch, settings.decode) as sources:
            workshop = Workshop(sources, settings.suggest, tmp_path / name)
            answers = workshop.answer_all(suggester, pictures, Wish(settings.suggest.top, DURATION_S))
        _print_rates(strategy, of_run, labels, categories, answers)
        checked = [_check_wav(suggestion) for answer in answers for suggestion in answer.suggestions]
        print(f"{'':<12} {len(checked)} WAVs checked, at most {1000 * max(checked):.1f} ms off")


def _print_unfiltered(
    store: TableStore, labels: Labels, pictures: list[Path], categories: StrArray, settings: Settings
) -> None:
    videos = store.read(tables.VIDEOS).select("video_id", "uri")
    rows = live_samples(store).join(videos, "video_id").select("uri", "time_s", "visual").toArrow()
    truth = labels.at([video_name(uri) for uri in rows["uri"].to_pylist()], rows["time_s"].to_numpy())
    model = Suggester(Warehouse(store.warehouse), settings.suggest)
    queries = np.stack([model.describe(open_picture(path)) for path in pictures])
    samples = normalise_visual(descriptor_rows(rows["visual"]))
    rates = retrieval_rates(queries, categories, samples, truth, m=5)
    print(
        f"{'unfiltered':<12} 100 % {Cleanliness.of(truth).share:5.0%} | {rates.best_sound:5.1%} "
        f"{rates.majority_sound:5.1%} | {rates.best_picture:5.1%}"
    )


def _print_rates(strategy: str, store: TableStore, labels: Labels, categories: StrArray, answers: list[Answer]) -> None:
    rows = store.read(tables.COLLECTION).select("uri", "time_s").toArrow()
    truth = labels.at([video_name(uri) for uri in rows["uri"].to_pylist()], rows["time_s"].to_numpy())
    found = [
        labels.at(
            [video_name(one.uri) for one in answer.suggestions],
            np.array([one.time_s for one in answer.suggestions]),
        )
        for answer in answers
    ]
    rates = answer_rates(categories, np.stack([one.sound for one in found]), np.stack([one.picture for one in found]))
    kept = len(truth.clean) / live_samples(store).count()
    print(
        f"{strategy:<12} {kept:5.0%} {Cleanliness.of(truth).share:5.0%} | {rates.best_sound:5.1%} "
        f"{rates.majority_sound:5.1%} | {rates.best_picture:5.1%}"
    )


def _check_wav(suggestion: Suggestion) -> float:
    """Seconds between the WAV and the same stretch as the ffmpeg program decodes it."""
    assert suggestion.file is not None, suggestion.unavailable
    cut, rate = soundfile.read(suggestion.file, dtype="float32", always_2d=True)
    assert len(cut) == round(DURATION_S * rate)
    whole = _decode_with_ffmpeg(suggestion.uri, rate, cut.shape[1])
    length_s = len(whole) / rate
    start = round(min(max(suggestion.time_s - DURATION_S / 2, 0), length_s - DURATION_S) * rate)
    reach = round(0.3 * rate)
    cut = cut[:-reach]  # room at the end of the source, where the two decoders stop some milliseconds apart
    window = whole.astype(np.float64)[max(start - reach, 0) : start + len(cut) + reach].mean(axis=1)
    # the lag with the least squared difference; the cut's own energy is the same for all of them
    energy = correlate(window**2, np.ones(len(cut)), mode="valid", method="fft")
    difference = energy - 2 * correlate(window, cut.mean(axis=1), mode="valid", method="fft")
    off_s = abs(int(difference.argmin()) + max(start - reach, 0) - start) / rate
    assert off_s <= TOLERANCE_S, (suggestion, off_s)
    return off_s


def _decode_with_ffmpeg(uri: str, rate: int, channels: int) -> Float32Array:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", uri, "-vn", "-af", "aresample=async=1:first_pts=0"]
    command += ["-ac", str(channels), "-ar", str(rate), "-f", "f32le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.float32).reshape(-1, channels)
