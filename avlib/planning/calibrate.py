"""What `avlib plan --calibrate` measures: the rates of one core, by running avlib's own code on made-up data.

It runs in a process of its own (`calibrate_apart`), on one core and with the environment that Spark's workers get,
neither of which a process that has begun can still change.
"""

from __future__ import annotations

import json
import mmap
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from avlib.arrays import Float32Array
from avlib.config import Settings
from avlib.errors import ConfigError
from avlib.neighbors import Block, NeighborRule, nearest
from avlib.planning.cost import entries
from avlib.planning.rates import Calibration, DescribeRates, Rates
from avlib.worker_environment import WORKER_ENVIRONMENT

_TILE_ROWS = (512, 960)  # as the kernel's tiles
_K = 20
_AUDIO_DIMS = 65
_CHUNK_BYTES = 4 << 20
_LEAST_S = 1e-11  # noise at sizes too small to measure must not make a rate negative


@dataclass(frozen=True)
class Sizes:
    """How much is run to measure it. The defaults take about a minute."""

    queries: int = 2048
    samples: int = 32_768
    dims: int = 1024
    clip_s: float = 20.0
    pictures: int = 256
    edges: int = 4_000_000
    file_bytes: int = 1 << 30
    rounds: int = 3


def calibrate_apart(settings: Settings, *, folder: Path, sizes: Sizes = Sizes()) -> Calibration:
    """`calibrate` in a process of its own, on one core.

    Raises ConfigError where that fails, with the last thing it said.
    """
    given = json.dumps({"settings": settings.model_dump(mode="json"), "folder": str(folder), "sizes": asdict(sizes)})
    ran = subprocess.run(
        [sys.executable, "-m", __name__],
        input=given,
        env=os.environ | WORKER_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        raise ConfigError(f"--calibrate: {re.sub(r'^avlib[.]errors[.][A-Za-z]+: ', '', said[-1])}")
    return Calibration.model_validate_json(ran.stdout)


def calibrate(settings: Settings, *, folder: Path, sizes: Sizes = Sizes()) -> Calibration:
    """Measure everything once. folder: on the disk whose speed counts; made if missing, and nothing is left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="calibrate-", dir=folder) as inside:
        scratch = Path(inside)
        gemm_flops_per_s, folds_per_s, differences_per_s = _neighbor_rates(sizes)
        written, read = _disk_rates(scratch / "file", sizes.file_bytes)
        return Calibration(
            rates=Rates(
                gemm_flops_per_s=gemm_flops_per_s,
                folds_per_s=folds_per_s,
                differences_per_s=differences_per_s,
                edges_per_s=_edge_rate(sizes),
                read_bytes_per_s=read,
                write_bytes_per_s=written,
            ),
            describe=_describe_rates(settings, scratch, sizes),
            machine=_processor(),
            date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            versions=_versions(),
        )


def _neighbor_rates(sizes: Sizes) -> tuple[float, float, float]:
    """FLOP/s of products at the kernel's tile sizes; folds/s and differences/s, of two searches less their products."""
    rest_s, counts, flops_per_s = [], [], 0.0
    # Many short rows are mostly folds, few long ones mostly differences.
    for visual, audio, rows in ((8, 8, sizes.samples), (sizes.dims, _AUDIO_DIMS, sizes.samples // 16)):
        queries, samples = _block(0, sizes.queries, visual, audio), _block(sizes.queries, rows, visual, audio)
        search = partial(nearest, queries, [samples], weights=(0.5, 0.5), k=_K, rule=NeighborRule())
        products_s = _seconds(partial(_products, queries, samples), sizes.rounds)
        rest_s.append(_seconds(search, sizes.rounds) - products_s)
        counts.append((sizes.queries * rows, sizes.queries * entries(_K, rows) * (visual + audio)))
        flops_per_s = 2 * sizes.queries * rows * (visual + audio) / products_s  # the last counts
    a_fold_s, a_difference_s = np.linalg.solve(np.array(counts), np.array(rest_s))
    return flops_per_s, 1 / max(a_fold_s, _LEAST_S), 1 / max(a_difference_s, _LEAST_S)


def _block(first: int, rows: int, visual: int, audio: int) -> Block:
    rng = np.random.default_rng(first)
    ids, times_s = np.arange(first, first + rows), np.zeros(rows)
    return Block(ids, _unit_rows(rng, rows, visual), _unit_rows(rng, rows, audio), times_s)


def _products(queries: Block, samples: Block) -> None:
    of_queries, of_samples = _TILE_ROWS
    for left, right in ((queries.visual, samples.visual), (queries.audio, samples.audio)):
        for i in range(0, len(left), of_queries):
            for j in range(0, len(right), of_samples):
                left[i : i + of_queries] @ right[j : j + of_samples].T


def _unit_rows(rng: np.random.Generator, rows: int, dims: int) -> Float32Array:
    values = rng.standard_normal((rows, dims), dtype=np.float32)
    unit: Float32Array = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit


def _edge_rate(sizes: Sizes) -> float:
    """Edges/s of contraction, on nodes with ten edges each to nodes near them, in random order."""
    from avlib.graph import contract

    rng = np.random.default_rng(0)
    src = rng.integers(0, max(2, sizes.edges // 10), sizes.edges)
    dst = src + rng.integers(1, 50, sizes.edges)
    return sizes.edges / _seconds(lambda: contract(src, dst), sizes.rounds)


def _disk_rates(place: Path, size: int) -> tuple[float, float]:
    """Bytes/s written, to the disk and not its cache, and read through a memory map."""
    chunk = np.random.default_rng(0).bytes(min(size, _CHUNK_BYTES))
    started = time.perf_counter()
    with place.open("wb") as file:
        for _ in range(-(-size // len(chunk))):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    written_s = time.perf_counter() - started
    with place.open("rb") as file:
        if hasattr(os, "posix_fadvise"):  # else it is the page cache that is measured
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            np.frombuffer(mapped, np.uint8).max()
        read_s = time.perf_counter() - started
    size = place.stat().st_size
    return size / written_s, size / read_s


def _describe_rates(settings: Settings, scratch: Path, sizes: Sizes) -> DescribeRates:
    import torch

    from avlib.planning.pictures import arbitrary_model

    describe = settings.describe
    side = describe.picture_size_px
    pictures = np.random.default_rng(0).integers(0, 256, (sizes.pictures, side, side, 3), dtype=np.uint8)

    def rate(device: str) -> float:
        model = arbitrary_model(describe.visual_model, scratch, device=device)
        batches = range(0, len(pictures), describe.picture_batch)

        def all_of_them() -> None:
            for start in batches:
                model.describe(pictures[start : start + describe.picture_batch])

        return len(pictures) / _seconds(all_of_them, sizes.rounds)

    return DescribeRates(
        s_per_video_minute=_video_minute_s(settings, scratch / "clip.mp4", sizes),
        pictures_per_s=rate("cpu"),
        gpu_pictures_per_s=rate("cuda") if torch.cuda.is_available() else None,
        visual_model=describe.visual_model,
        picture_size_px=side,
        frame_rate_hz=describe.frame_rate_hz,
        frame_stride=describe.frame_stride,
    )


def _video_minute_s(settings: Settings, place: Path, sizes: Sizes) -> float:
    """Seconds for a minute of a clip of 640 × 360 at 25 Hz, H.264 and AAC: all of describe but the picture model."""
    from avlib.demo.encode import write_video
    from avlib.demo.plan import Format, Stretch, VideoPlan
    from avlib.demo.render import pictures, soundtrack
    from avlib.description import describe_video
    from avlib.media import Decoder

    form = Format("mp4", "libx264", "aac", (640, 360), 25, 44_100, 2)
    clip = VideoPlan(0, place.name, "sea", form, sizes.clip_s, (Stretch(0.0, sizes.clip_s, "sea"),))
    write_video(place, form, pictures(clip, seed=0), soundtrack(clip, seed=0))
    with Decoder(settings.decode) as decoder:

        def describe() -> None:
            for _ in describe_video(decoder.open(place), settings.describe):
                pass

        return _seconds(describe, sizes.rounds) * 60 / sizes.clip_s


def _seconds(work: Callable[[], object], rounds: int) -> float:
    """The fastest of some runs, as what else the machine does only slows; after one that compiles and warms up."""
    work()
    fastest = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _versions() -> dict[str, str]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    named = {name: version(name) for name in ("numpy", "numba", "scipy", "torch", "av")}
    return {"python": platform.python_version(), **named, "blas": f"{blas['name']} {blas['version']}"}


def _main() -> None:
    if hasattr(os, "sched_setaffinity"):  # one core for this and for its decoding process, as a Spark task has
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    given = json.load(sys.stdin)
    settings, sizes = Settings.model_validate(given["settings"]), Sizes(**given["sizes"])
    print(calibrate(settings, folder=Path(given["folder"]), sizes=sizes).model_dump_json())


if __name__ == "__main__":
    _main()
