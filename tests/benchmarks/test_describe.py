"""The describe stage on local[2] beside the sum of its parts in one process, divided by the cores."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession
from real_clips import write_clip

from avlib.config import Settings, load_settings
from avlib.descriptors.network import build_network
from avlib.spark import describe, ingest
from avlib.spark.store import TableStore
from avlib.worker_environment import WORKER_ENVIRONMENT

pytestmark = pytest.mark.spark

CORES, MINUTES = 2, 144
PARTS_OF = 8
WARMING = 4  # videos, so that both workers get some
MODEL = "mobilenet_v3_small"

# Every part by itself, one thread, in the environment that workers have.
PARTS = """
import json, sys, time
from pathlib import Path
import numpy as np
from avlib.config import load_settings
from avlib.description import loud
from avlib.descriptors import RmsMeter, audio_context, load_visual_descriptor, mfcc_windows
from avlib.media import JITTER_S, PictureReader, SoundReader, place, probe

settings = load_settings().describe
rate_hz = settings.audio.sr
visual = load_visual_descriptor(sys.argv[1], Path(sys.argv[2]))
visual.describe(np.zeros((32, 224, 224, 3), np.uint8))
silence, some_s = np.zeros(10 * rate_hz, np.float32), np.arange(1.0, 9.0)  # the first call imports and compiles
mfcc_windows(silence, times_s=some_s, frame_rate_hz=25.0, settings=settings.audio)
context_of = {"sounding_s": (0.0, 10.0), "sample_rate_hz": rate_hz, "settings": settings.audio_context}
audio_context(silence, times_s=some_s, **context_of)
seconds = dict.fromkeys(["sound", "rms", "mfcc", "context", "pictures", "cnn"], 0.0)
def timed(name, function):
    started = time.perf_counter()
    result = function()
    seconds[name] += time.perf_counter() - started
    return result
for path in map(Path, sys.argv[3:]):
    info = probe(path)
    pieces = timed("sound", lambda: list(SoundReader(path, info, sample_rate_hz=rate_hz)))
    def measure():
        meter = RmsMeter(frame_rate_hz=25.0, sample_rate_hz=rate_hz, joined_s=JITTER_S)
        for piece in pieces:
            meter.add(piece.first, piece.waveform[0])
        return loud(meter.finish(), settings=settings)
    frames = timed("rms", measure)
    waveform = place(pieces, channels=1, first=0, samples=pieces[-1].end)[0]
    timed("mfcc", lambda: mfcc_windows(waveform, times_s=frames.times_s, frame_rate_hz=25.0, settings=settings.audio))
    sounding_s = (frames.times_s[0], len(waveform) / rate_hz)
    timed("context", lambda: audio_context(waveform, times_s=frames.times_s, **context_of | {"sounding_s": sounding_s}))
    reader = PictureReader(path, info, times_s=frames.times_s, size_px=224)
    pictures = timed("pictures", lambda: [shown for _, shown in reader])
    timed("cnn", lambda: [visual.describe(shown) for shown in pictures])
print(json.dumps(seconds))
"""


def test_describe_beside_its_parts(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    sources = sorted((shared_data / "collection" / "videos").glob("*.mp4"))
    clips = tmp_path / "clips"
    clips.mkdir()
    minute = tmp_path / "minute.mp4"
    write_clip(minute, sources[:6], duration_s=60.0)
    for number in range(WARMING + MINUTES):  # of another size each: equal ones would be described once
        (clips / f"{number}.mp4").write_bytes(minute.read_bytes() + bytes(8 + number))
    weights = tmp_path / "weights.pth"  # any numbers take as long
    torch.manual_seed(0)
    torch.save(build_network(MODEL).state_dict(), weights)
    settings = load_settings(
        assignments=[f"describe.visual_model={MODEL}", f"describe.visual_weights={json.dumps(str(weights))}"]
    )
    before = _parts(weights, sorted(clips.iterdir())[:PARTS_OF])
    store = TableStore(spark, str(tmp_path / "warehouse"))
    ingest.run(store, settings, [str(clip) for clip in sorted(clips.iterdir())[:WARMING]])
    _described_s(store, settings)  # starts workers, loads the model, compiles
    ingest.run(store, settings, [str(clips)])
    stage_s = _described_s(store, settings) / MINUTES
    empty_s = _described_s(store, settings) / MINUTES  # nothing to do: what Spark and Delta take in any case
    after = _parts(weights, sorted(clips.iterdir())[:PARTS_OF])  # machines that others share change their pace
    with ThreadPoolExecutor(CORES) as threads:  # what cores that share caches, or a core's units, leave each other
        copies = list(threads.map(lambda _: _parts(weights, sorted(clips.iterdir())[:PARTS_OF]), range(CORES)))
    parts_s = (sum(before.values()) + sum(after.values())) / 2
    print(f"\n{platform.processor() or platform.machine()}, local[{CORES}], {MODEL}; 640 x 360 at 25 Hz, every frame")
    for when, parts in (("before", before), ("after", after)):
        listed = ", ".join(f"{name} {s:.2f}" for name, s in parts.items())
        print(f"seconds per video minute, one thread, {when}: {listed}; sum {sum(parts.values()):.2f}")
    print(f"sum {parts_s:.2f}, over {CORES} cores {parts_s / CORES:.2f}")
    together_s = sum(sum(parts.values()) for parts in copies) / CORES
    print(f"{CORES} copies at once, each: sum {together_s:.2f}, over {CORES} cores {together_s / CORES:.2f}")
    print(
        f"stage {stage_s:.2f} (of it {empty_s:.2f} with nothing to do): {stage_s / (parts_s / CORES):.2f} x of one, "
        f"{stage_s / (together_s / CORES):.2f} x of {CORES} copies at once"
    )


def _parts(weights: Path, clips: list[Path]) -> dict[str, float]:
    """Seconds of each part, per clip."""
    command = [sys.executable, "-c", PARTS, MODEL, str(weights), *map(str, clips)]
    environment = os.environ | WORKER_ENVIRONMENT
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    parts: dict[str, float] = json.loads(said)
    return {name: seconds / len(clips) for name, seconds in parts.items()}


def _described_s(store: TableStore, settings: Settings) -> float:
    started = time.perf_counter()
    describe.run(store, settings)
    return time.perf_counter() - started
