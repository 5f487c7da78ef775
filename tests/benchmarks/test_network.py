"""Milliseconds per picture of the picture descriptor on one thread: fused, not fused, and as torch runs it by default.

Each figure is from a process of its own, with Spark's allocator environment (avlib.spark.session) and without: that
decides how often large buffers are given back to the system and faulted in again. Weights are random; speed does not
depend on them. Nothing fails by its figures.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avlib.arrays import UInt8Array
from avlib.descriptors import network, normalise_visual
from avlib.media import PictureReader, probe
from avlib.worker_environment import WORKER_ENVIRONMENT

_ALLOCATOR = {name: value for name, value in WORKER_ENVIRONMENT.items() if name.startswith("MALLOC_")}
_SCRIPT = """
import json, sys, tempfile, time
from pathlib import Path
import numpy as np, torch
from avlib.descriptors import network
model, way, pictures = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
torch.manual_seed(0)
if way != "fused":
    network.fused = lambda unfused: unfused
with tempfile.TemporaryDirectory() as folder:
    weights = Path(folder, "weights.pth")
    torch.save(network.build_network(model).state_dict(), weights)
    descriptor = network.NetworkDescriptor(model, weights)
batch = np.random.default_rng(0).integers(0, 256, (32, 224, 224, 3), dtype=np.uint8)
describe = descriptor.describe
if way == "torch's default":
    plain = descriptor._network.to(memory_format=torch.contiguous_format)
    def describe(pictures):
        with torch.no_grad():
            return plain((torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() - 127.5) / 58)
describe(batch)
times_s = []
for _ in range(max(1, pictures // len(batch))):
    started_s = time.perf_counter()
    describe(batch)
    times_s.append(time.perf_counter() - started_s)
print(json.dumps(1000 * float(np.median(times_s)) / len(batch)))
"""


def ms_per_picture(model: str, way: str, *, allocator: bool) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {"OMP_NUM_THREADS": "1"} | (_ALLOCATOR if allocator else {})
    command = [sys.executable, "-c", _SCRIPT, model, way, "256"]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "mobilenet_v2"])
def test_network(model: str) -> None:
    print(
        f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread; 32 pictures of 224 x 224"
    )
    print(f"{model:<20}{'ms a picture':>28}{'s per 1,500':>13}{'fused = 1':>11}")
    reference = ms_per_picture(model, "fused", allocator=True)
    for way in ("fused", "not fused", "torch's default"):
        for allocator in (True, False):
            first = way == "fused" and allocator
            ms = reference if first else ms_per_picture(model, way, allocator=allocator)
            label = f"{way}, allocator {'set' if allocator else 'as is'}"
            print(f"  {label:<34}{ms:>12.2f}{1.5 * ms:>13.1f}{ms / reference:>10.2f}x")


def test_half_precision(shared_data: Path) -> None:
    """How far half precision, which GPUs compute in, moves a normalised descriptor; here it is tried on the CPU."""
    weights = shared_data / "weights" / "mobilenet_v2-imagenet.pth"
    videos = sorted((shared_data / "collection" / "videos").iterdir())[:16]
    pictures = np.stack([picture_of(path) for path in videos])
    whole, half = (network.NetworkDescriptor("mobilenet_v2", weights) for _ in range(2))
    half._network, half._precision = half._network.half(), torch.float16
    descriptors, moved = (normalise_visual(one.describe(pictures)) for one in (whole, half))
    apart = np.linalg.norm(descriptors[:, None] - descriptors[None], axis=2) + 9 * np.eye(len(pictures))
    farthest = float(np.linalg.norm(descriptors - moved, axis=1).max())
    print(f"\nhalf precision moves {len(pictures)} normalised descriptors by {farthest:.4f} at most;")
    print(f"the nearest two are {apart.min():.2f} apart")


def picture_of(path: Path) -> UInt8Array:
    """Of its fifth second."""
    reader = PictureReader(path, probe(path), times_s=np.array([5.0]), size_px=224)
    return next(pictures for _, pictures in reader)[0]
