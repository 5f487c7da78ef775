"""Peak memory of describing one video, for 3 minutes and for 3 hours: worker and decoding process apart."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

from real_clips import write_clip, write_repeated

# One task after another, as a Python worker does it, without Spark around it: the sound once, then every slice.
WORKER = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from avlib.config import load_settings
from avlib.description import LongVideo, Slice, describe_slice, describe_video
from avlib.descriptors import load_visual_descriptor
from avlib.media import Decoder

settings = load_settings(assignments=["describe.frame_stride=25"])
visual = load_visual_descriptor("hog_color", None)
peaks = []
started = time.perf_counter()

def run(steps):
    samples = 0
    try:
        while True:
            batch = next(steps)
            visual.describe(batch.pictures)
            samples += len(batch.indexes)
    except StopIteration as end:
        return samples, end.value

with Decoder(settings.decode) as decoder:
    path = Path(sys.argv[1])
    samples, outcome = run(describe_video(decoder.open(path), settings.describe))
    if isinstance(outcome, LongVideo):
        for one in outcome.slices:
            text = Slice.from_json(one.to_json(), frame_rate_hz=settings.describe.frame_rate_hz)
            samples += run(describe_slice(decoder.open(path), text, settings.describe))[0]
worker = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([worker, child, samples, time.perf_counter() - started]))
"""


def test_peak_memory(shared_data: Path, tmp_path: Path) -> None:
    sources = sorted((shared_data / "collection" / "videos").glob("*.mp4"))[:6]
    minute = tmp_path / "minute.mp4"
    write_clip(minute, sources, duration_s=60.0)
    print(f"\n{platform.processor() or platform.machine()}; 640 x 360, 25 Hz; peak resident memory, one process each")
    print("duration | worker MB | decoding MB | samples | seconds")
    peaks = []
    for name, minutes in (("3 min", 3), ("3 h", 180)):
        path = tmp_path / f"{minutes}.mp4"
        write_repeated(path, minute, times=minutes)
        command = [sys.executable, "-c", WORKER, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        worker, child, samples, seconds = json.loads(said)
        peaks.append((worker, child))
        print(f"{name:>8} | {worker:9.0f} | {child:11.0f} | {samples:7} | {seconds:7.1f}", flush=True)
    ratios = [long / short for short, long in zip(*peaks, strict=True)]
    print(f"   ratio | {ratios[0]:9.2f} | {ratios[1]:11.2f}")
