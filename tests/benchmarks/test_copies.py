"""Copies measured: what is found of videos that are changed and uploaded again, what it costs, what it mends.

Prints tables; nothing passes or fails by its figures.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path

import numpy as np
from filled_warehouse import fill
from knn_samples import structured_samples
from near_copies import CHANGES, Change, write_changed, write_dubbed
from pyspark.sql import SparkSession

from avlib.agreement import agreement_in_memory
from avlib.arrays import Int64Array
from avlib.columns import descriptor_rows
from avlib.config import Settings, load_settings
from avlib.copies import copies_in_memory
from avlib.descriptors import ExactSums, normalise_audio, normalise_visual
from avlib.evaluation import read_samples
from avlib.identity import sample_ids, video_ids
from avlib.neighbors import Block
from avlib.spark import copies, describe, ingest
from avlib.spark.samples import audio_samples
from avlib.spark.store import TableStore
from avlib.warehouse import Warehouse

MACHINE = platform.processor() or platform.machine()
EACH = 3  # videos changed in each way


def near_copies(videos: list[Path], folder: Path) -> dict[str, list[str]]:
    """Write changed videos; returns their names, by what was done to them."""
    folder.mkdir()
    made: dict[str, list[str]] = {}

    def name(kind: str) -> Path:
        made.setdefault(kind, []).append(f"copy_{sum(map(len, made.values())):03d}.mp4")
        return folder / made[kind][-1]

    for number, (kind, change) in enumerate(CHANGES.items()):
        for one in range(EACH):
            write_changed(name(kind), [(videos[(number * EACH + one) % len(videos)], change)])
    for one in range(EACH):
        parts = [(videos[40 + one], Change(until_s=8)), (videos[43 + one], Change(from_s=6, until_s=16))]
        write_changed(name("8 s of one, 10 s of another"), parts)
        write_dubbed(name("the sound of another video"), videos[7 * one], videos[7 * one + 20])
    return made


def test_what_is_found(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    videos = sorted((shared_data / "collection" / "videos").iterdir())
    made = near_copies(videos, tmp_path / "copies")
    weights = shared_data / "weights" / "mobilenet_v2-imagenet.pth"
    network = ["describe.visual_model=mobilenet_v2", f"describe.visual_weights={weights}"]
    settings = load_settings(assignments=[*network, "describe.frame_stride=5"])
    store = TableStore(spark, str(tmp_path / "warehouse"))
    for folder in (videos[0].parent, shared_data / "web_clips", tmp_path / "copies"):
        ingest.run(store, settings, [str(folder)])
    describe.run(store, settings)
    names = read_samples(Warehouse(store.warehouse)).videos
    samples = _samples(store, "audio_context")
    started = time.perf_counter()
    found = copies_in_memory(samples, settings.copies)
    print(f"\n{MACHINE}; {len(samples)} samples, {time.perf_counter() - started:.1f} s in memory")
    copied = np.isin(samples.ids, found.ids)
    for kind, of_kind in made.items():
        shares = (copied[names == name] for name in of_kind)
        print(f"  {kind:<45} {', '.join(f'{one.mean():4.0%}' for one in shares if len(one))}")
    originals = ~np.isin(names, [name for of_kind in made.values() for name in of_kind])
    print(f"  false, of {originals.sum()} samples of {len(set(names[originals]))} videos: {copied[originals].sum()}")
    _print_votes(_samples(store, "audio_mfcc65", ids=samples.ids[originals]), settings)


def _print_votes(samples: Block, settings: Settings) -> None:
    """What scores make of a video with the sounds of another, the more often it is uploaded."""
    print("6 videos with the sounds of others, by uploads: mean agreement, share kept; copies counted; copies left out")
    for uploads in (1, 2, 5):
        counted, left_out = [], []
        for one in range(6):
            dubbed, video = _dubbed(samples, video=one * 7, sounds=one * 7 + 20, uploads=uploads)
            found = copies_in_memory(dubbed, settings.copies)
            others = dubbed.take(np.flatnonzero(~np.isin(dubbed.ids, found.ids)))
            for block, scores in ((dubbed, counted), (others, left_out)):
                scored = agreement_in_memory(block, settings.agreement)
                of_video = np.isin(video_ids(block.ids), video)
                scores.append((scored.scores[of_video].mean(), scored.kept[of_video].mean()))
        before, after = np.mean(counted, axis=0), np.mean(left_out, axis=0)
        print(f"  {uploads}: {before[0]:.2f}, {before[1]:.0%} kept; {after[0]:.2f}, {after[1]:.0%} kept")


def _dubbed(samples: Block, *, video: int, sounds: int, uploads: int) -> tuple[Block, Int64Array]:
    """A video with the sounds of another one that is not there any more, and the same again with a little noise."""
    random, ids = np.random.default_rng(0), video_ids(samples.ids)
    known = np.unique(ids)
    own, other = np.flatnonzero(ids == known[video]), np.flatnonzero(ids == known[sounds])
    audio = samples.audio[other[np.arange(len(own)) * len(other) // len(own)]]
    rest = samples.take(np.flatnonzero((ids != known[video]) & (ids != known[sounds])))
    new = int(known.max()) + 1 + np.arange(uploads)
    frames = samples.ids[own] % (1 << 24)

    def noisy(rows: np.ndarray) -> np.ndarray:
        return (rows + 0.1 / rows.shape[1] ** 0.5 * random.normal(size=rows.shape)).astype(np.float32)

    parts = [rest] + [
        Block(sample_ids(int(one), frames), noisy(samples.visual[own]), noisy(audio), samples.times_s[own])
        for one in new
    ]
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "visual", "audio", "times_s")
    ]
    return Block(*columns), new


def _samples(store: TableStore, descriptor: str, *, ids: Int64Array | None = None) -> Block:
    rows = audio_samples(store, descriptor).select("sample_id", "time_s", "visual", "audio").toArrow()
    rows = rows.sort_by("sample_id")
    raw = descriptor_rows(rows["audio"])
    sums = ExactSums.empty(raw.shape[1])
    sums.update(raw)
    audio, visual = normalise_audio(raw, sums.stats()), normalise_visual(descriptor_rows(rows["visual"]))
    block = Block(rows["sample_id"].to_numpy(), visual, audio, rows["time_s"].to_numpy())
    return block if ids is None else block.take(np.flatnonzero(np.isin(block.ids, ids)))


def test_cost(spark: SparkSession, tmp_path: Path) -> None:
    samples = structured_samples(54_000, dimensions=(576, 65))
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, samples, tmp_path)
    settings, seconds = load_settings(assignments=["filter.strategy=agreement"]), []
    for number in range(2):  # the first one warms up
        started = time.perf_counter()
        copies.run(TableStore(spark, store.warehouse, name=f"run{number}"), settings)
        seconds.append(time.perf_counter() - started)
    print(f"\n{MACHINE}, local[2]; {len(samples)} x (576 + 65): {seconds[1]:.0f} s ({seconds[0]:.0f} s at first)")
