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

import pytest

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
