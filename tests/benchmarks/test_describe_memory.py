"""Peak memory of a Python worker of describe and of its decoding process: for 3 minutes, 3 hours, many videos."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from real_clips import write_clip, write_repeated

from avlib.worker_environment import WORKER_ENVIRONMENT

# What a Python worker does, without Spark around it: videos, then their slices, one after another.
WORKER = """
import json, re, sys, time
from pathlib import Path
import pyarrow as pa
from avlib.config import load_settings
from avlib.models import store_model
from avlib.sources import kept_sources
from avlib.spark.describing import PENDING, SLICES, Worker

model, folder, stride, places = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
weights = "DEFAULT"
if model != "hog_color":
    import torch
    from avlib.descriptors.network import build_network
    weights = str(folder / "weights.pth")
    torch.save(build_network(model).state_dict(), weights)
given = {"visual_model": model, "visual_weights": weights, "frame_stride": stride}
settings = load_settings(assignments=[f"describe.{name}={value}" for name, value in given.items()])
started = time.perf_counter()
(folder / "rows").mkdir(exist_ok=True)
worker = Worker(settings, store_model(settings.describe, warehouse=str(folder)), str(folder), str(folder / "rows"))
video = {"bytes": 1, "input_hash": "", "described_with": "", "attempt": 1, "samples_before": 0}
videos = {number: video | {"video_id": number, "uri": place} for number, place in enumerate(places)}

def run(rows, schema):
    for out in worker(iter([pa.RecordBatch.from_pylist(rows, schema=schema)])):
        yield from out.to_pylist()

rows = list(run(list(videos.values()), PENDING))
slices = [videos[row["video_id"]] | {"text": row["text"]} for row in rows if row["kind"] == "slice"]
rows += list(run(slices, SLICES))
samples = sum(pa.parquet.read_metadata(row["text"]).num_rows for row in rows if row["kind"] == "samples")
taken_s = time.perf_counter() - started
child = kept_sources(settings.fetch, settings.decode)._decoder._process.pid
said = [Path(f"/proc/{process}/status").read_text() for process in ("self", child)]
peaks = [int(re.search(r"VmHWM:\\s+(\\d+)", text)[1]) / 1024 for text in said]  # since exec, other than getrusage's
print(json.dumps([*peaks, samples, taken_s]))
"""


def described(model: str, folder: Path, *places: Path, stride: int) -> list[float]:
    """Peak of the worker and of the decoding process in MB, samples, seconds."""
    command = [sys.executable, "-c", WORKER, model, str(folder), str(stride), *map(str, places)]
    environment = os.environ | WORKER_ENVIRONMENT
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    found: list[float] = json.loads(said.splitlines()[-1])
    return found


def test_peak_memory(shared_data: Path, tmp_path: Path) -> None:
    videos = sorted((shared_data / "collection" / "videos").iterdir())
    minute = tmp_path / "minute.mp4"
    write_clip(minute, [path for path in videos if path.suffix == ".mp4"][:6], duration_s=60.0)
    long = {name: tmp_path / f"{minutes}.mp4" for name, minutes in (("3 min", 3), ("3 h", 180))}
    for path in long.values():
        write_repeated(path, minute, times=int(path.stem))
    print(f"\n{platform.processor() or platform.machine()}; peak resident memory, one process each")
    print("model              | videos                       | worker MB | decoding MB | samples | seconds")
    for model in ("hog_color", "mobilenet_v3_small", "mobilenet_v2"):
        for name, path in long.items() if model != "mobilenet_v2" else ():
            _show(model, f"640 x 360, {name}, 1 Hz", described(model, tmp_path, path, stride=25))
        for count in (3, 24):
            _show(model, f"{count} of the collection, 25 Hz", described(model, tmp_path, *videos[:count], stride=1))


def _show(model: str, name: str, found: list[float]) -> None:
    worker, child, samples, seconds = found
    print(f"{model:<18} | {name:<28} | {worker:9.0f} | {child:11.0f} | {samples:7} | {seconds:7.1f}", flush=True)
