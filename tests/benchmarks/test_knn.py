"""The knn stage, from table to table, beside the matrix products of all pairs alone; exact, and in cells.

54,000 samples, k = 20, local[2]. The products: all n × n of both modalities in tiles, by two threads each of which has
half of the rows, as Spark's tasks have; one row of tiles in ten is timed, and scaled. Nothing fails by its figures.
"""

from __future__ import annotations

import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filled_warehouse import fill
from knn_samples import structured_samples
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_info, threadpool_limits

from avlib import tables
from avlib.config import load_settings
from avlib.neighbors import Block, exact
from avlib.spark import knn
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

CORES, SAMPLES, TIMED = 2, 54_000, 10


@pytest.mark.parametrize("dimension", [576, 1280])
def test_knn_from_table_to_table(spark: SparkSession, tmp_path: Path, dimension: int) -> None:
    block = structured_samples(SAMPLES, dimensions=(dimension, 65))
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, block, tmp_path)
    with threadpool_limits(1):
        products_s = (_products_s(block, first=0) + _products_s(block, first=TIMED // 2)) / 2
    blas = ", ".join(f"{x['internal_api']} {x['architecture']}" for x in threadpool_info() if "numpy" in x["filepath"])
    print(f"\n{platform.processor() or platform.machine()}, local[{CORES}]; {blas}; 1 in {TIMED} rows of tiles timed")
    print(f"{SAMPLES:,} × ({dimension} + 65), k = 20: products alone {products_s:.1f} s on {CORES} threads")
    for method in ("exact", "cells"):
        settings = load_settings(assignments=["filter.strategy=joint", "knn.k=20", f"knn.method={method}"])
        knn.run(store, settings, 0)  # starts workers, compiles
        store.clear(tables.NEIGHBORS)  # else nothing would have to be done
        started_s = time.perf_counter()
        knn.run(store, settings, 0)
        stage_s = time.perf_counter() - started_s
        print(f"{method}: {stage_s:.1f} s, {stage_s / products_s:.2f} x (exact: to be 1.5 or less)", flush=True)


def _products_s(block: Block, *, first: int) -> float:
    """Of all pairs, on as many threads as there are cores."""
    starts = np.arange(0, len(block), exact.LEFT_ROWS)
    timed = starts[first::TIMED]

    def multiply(number: int) -> None:
        tile = np.empty(exact.LEFT_ROWS * exact.RIGHT_ROWS, np.float32)
        for x in (block.visual, block.audio):
            for i in timed[number::CORES]:
                rows = x[i : i + exact.LEFT_ROWS]
                for j in range(0, len(x), exact.RIGHT_ROWS):
                    columns = x[j : j + exact.RIGHT_ROWS]
                    np.matmul(rows, columns.T, out=tile[: len(rows) * len(columns)].reshape(len(rows), len(columns)))

    with ThreadPoolExecutor(CORES) as threads:
        started_s = time.perf_counter()
        list(threads.map(multiply, range(CORES)))
        return (time.perf_counter() - started_s) * len(starts) / len(timed)
