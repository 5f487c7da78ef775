"""The knn stage inside components, from table to table, beside the matrix products that it needs alone.

200,000 × (576 + 65) samples in 5,000 components of Zipf sizes, the largest 20,000, k = 20, local[2]. The products: of
both modalities, of all pairs inside each component, in tiles, by two threads: each pair once, and, as the benchmark of
the whole collection counts them, both ways. Nothing fails by its figures.
"""

from __future__ import annotations

import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from filled_warehouse import fill
from knn_samples import structured_samples
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from avlib import tables
from avlib.arrays import Int64Array
from avlib.config import load_settings
from avlib.neighbors import Block, tiles
from avlib.spark import knn
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

CORES, SAMPLES, COMPONENTS, LARGEST = 2, 200_000, 5_000, 20_000
STEPS = "[{w_V = 1, w_A = 1, k = 20, min_size = 1}, {w_V = 1, w_A = 1, k = 20, min_size = 1}]"


def test_knn_inside_components(spark: SparkSession, tmp_path: Path) -> None:
    block = structured_samples(SAMPLES, dimensions=(576, 65))
    components = in_components(block.ids)
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, block, tmp_path)
    rows = pa.table({"sample_id": block.ids, "component_id": components})
    store.write_step(tables.COMPONENTS, spark.createDataFrame(rows), step=0)
    chosen = ["filter.strategies.mine=" + STEPS, "filter.strategy=mine"]
    settings = load_settings(assignments=chosen)
    with threadpool_limits(1):
        once_s, both_s = (_products_s(block, components, once=once) for once in (True, False))
    sizes = np.sort(np.unique(components, return_counts=True)[1])
    print(f"\n{platform.processor() or platform.machine()}, local[{CORES}]; {len(block):,} samples, {len(sizes):,}")
    print(
        f"components of {sizes[0]} to {sizes[-1]:,}; products alone on {CORES} threads: each pair once {once_s:.1f} s,"
    )
    print(
        f"so the stage is to take {2 * once_s + 5:.1f} or less; both ways {both_s:.1f} s, by which {2 * both_s + 5:.1f}"
    )
    for run in ("first", "second", "third"):
        store.clear(tables.NEIGHBORS)  # else nothing would have to be done
        started_s = time.perf_counter()
        knn.run(store, settings, 1)
        stage_s = time.perf_counter() - started_s
        print(f"{run} time in the session: {stage_s:.1f} s", flush=True)


def in_components(ids: Int64Array) -> Int64Array:
    """The component of each sample, drawn at random: the r-th has LARGEST / r^s samples, 1 at least."""
    ranks = np.arange(1, COMPONENTS + 1)
    low, high = 0.5, 2.0
    for _ in range(60):
        s = (low + high) / 2
        sizes = np.maximum(1, np.round(LARGEST / ranks**s)).astype(np.int64)
        low, high = (s, high) if sizes.sum() > len(ids) else (low, s)
    sizes[1] += len(ids) - sizes.sum()
    order = np.random.default_rng(0).permutation(len(ids))
    found = np.empty(len(ids), np.int64)
    for members in np.split(order, np.cumsum(sizes)[:-1]):
        found[members] = ids[members].min()
    return found


def _products_s(block: Block, components: Int64Array, *, once: bool) -> float:
    """Of the pairs inside components, on as many threads as there are cores.  once: not both ways."""
    order = np.argsort(components, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(components[order])) + 1)
    pairs = [
        (part[i : i + tiles.LEFT_ROWS], part[j : j + tiles.RIGHT_ROWS])
        for part in parts
        for i in range(0, len(part), tiles.LEFT_ROWS)
        for j in range(i if once else 0, len(part), tiles.RIGHT_ROWS)
    ]
    visual, audio = block.visual, block.audio

    def multiply(number: int) -> float:
        spent_s = 0.0
        for rows, columns in pairs[number::CORES]:
            for x in (visual, audio):
                left, right = x[rows], x[columns]
                started_s = time.perf_counter()
                np.matmul(left, right.T)
                spent_s += time.perf_counter() - started_s
        return spent_s

    with ThreadPoolExecutor(CORES) as threads:
        return max(threads.map(multiply, range(CORES)))
