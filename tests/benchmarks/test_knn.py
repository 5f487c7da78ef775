"""The knn stage, from table to table: exact and in cells, as samples grow, and of real descriptors.

k = 20, local[2]. The products beside it: all n × n of both modalities in tiles, by two threads each of which has
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
from pyspark.sql import Row, SparkSession
from threadpoolctl import threadpool_info, threadpool_limits

from avlib import tables
from avlib.config import load_settings
from avlib.neighbors import Block, tiles
from avlib.spark import describe, ingest, knn, mutual_edges
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

CORES, SAMPLES, TIMED = 2, 54_000, 10
EMPTY, GROWING = 500, (27_000, 54_000, 108_000, 216_000)
MACHINE = platform.processor() or platform.machine()


@pytest.mark.parametrize("dimension", [576, 1280])
def test_knn_from_table_to_table(spark: SparkSession, tmp_path: Path, dimension: int) -> None:
    block = structured_samples(SAMPLES, dimensions=(dimension, 65))
    store = TableStore(spark, str(tmp_path / "warehouse"))
    fill(store, block, tmp_path)
    with threadpool_limits(1):
        products_s = (_products_s(block, first=0) + _products_s(block, first=TIMED // 2)) / 2
    blas = ", ".join(f"{x['internal_api']} {x['architecture']}" for x in threadpool_info() if "numpy" in x["filepath"])
    print(f"\n{MACHINE}, local[{CORES}]; {blas}; 1 in {TIMED} rows of tiles timed")
    print(f"{SAMPLES:,} × ({dimension} + 65), k = 20: products alone {products_s:.1f} s on {CORES} threads")
    for method in ("exact", "cells"):
        _stage_s(store, method)  # starts workers, compiles
        stage_s = _stage_s(store, method)
        print(f"{method}: {stage_s:.1f} s, {stage_s / products_s:.2f} x (exact: to be 1.5 or less)", flush=True)
        print(f"  the largest worker: {(_newest(store)['worker_memory_bytes'] or 0) / 1e6:,.0f} MB", flush=True)


def test_cells_as_samples_grow(spark: SparkSession, tmp_path: Path) -> None:
    print(f"\n{MACHINE}, local[{CORES}]; 576 + 65 dimensions; seconds of the first and the second time in the session")
    seconds: dict[int, list[float]] = {}
    for rows in (*GROWING, EMPTY):
        (tmp_path / str(rows)).mkdir()
        store = TableStore(spark, str(tmp_path / str(rows) / "warehouse"))
        fill(store, structured_samples(rows, dimensions=(576, 65)), tmp_path / str(rows))
        if not seconds:
            _stage_s(store, "cells")  # starts workers, compiles
        seconds[rows] = [_stage_s(store, "cells") for _ in range(2)]
        print(f"{rows:,}: {_shown(seconds[rows])}; {_found(store)}", flush=True)
        if rows == 2 * SAMPLES:
            exact_s = [_stage_s(store, "exact") for _ in range(2)]
            ratios = np.array(seconds[rows]) / exact_s
            print(f"  exact {_shown(exact_s)}: {ratios[0]:.2f} and {ratios[1]:.2f} x (to be 0.3 or less)", flush=True)
    more_s = np.array([seconds[rows][1] for rows in GROWING]) - seconds[EMPTY][1]
    exponent = np.polyfit(np.log(GROWING), np.log(more_s), 1)[0]
    print(f"beyond what {EMPTY} samples take: grows with samples to the power of {exponent:.2f} (to be 1.35 or less)")


def test_cells_of_the_collection(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    """All pictures that are kept, of 25 a second. Recall by all mutual edges: of so few samples they can be known."""
    store = TableStore(spark, str(tmp_path / "warehouse"))
    weights = shared_data / "weights" / "mobilenet_v2-imagenet.pth"
    chosen = ["visual_model=mobilenet_v2", f"visual_weights={weights}", "frame_stride=1"]
    settings = load_settings(assignments=[f"describe.{one}" for one in chosen])
    ingest.run(store, settings, [str(shared_data / "collection" / "videos")])
    describe.run(store, settings)
    print(f"\n{MACHINE}, local[{CORES}]; {store.read(tables.SAMPLES).count():,} samples of the collection")
    for exclude in ("none", "same_video"):
        edges = {}
        for method in ("exact", "cells"):
            seconds = [_stage_s(store, method, f"knn.exclude={exclude}") for _ in range(2)]
            mutual_edges.run(store, 0)
            edges[method] = store.read(tables.MUTUAL_EDGES, step=0).select("src", "dst").toPandas()
            print(f"exclude = {exclude}, {method}: {_shown(seconds)}; {_found(store)}", flush=True)
        both = edges["exact"].merge(edges["cells"])
        print(
            f"  recall of all {len(edges['exact']):,} mutual edges: {len(both) / len(edges['exact']):.4f}", flush=True
        )


def _stage_s(store: TableStore, method: str, *more: str) -> float:
    """Seconds of the stage, with any lists that are there gone first: else nothing would have to be done."""
    if store.exists(tables.NEIGHBORS):
        store.clear(tables.NEIGHBORS)
    given = ["filter.strategy=joint", "knn.k=20", f"knn.method={method}", *more]
    started_s = time.perf_counter()
    knn.run(store, load_settings(assignments=given), 0)
    return time.perf_counter() - started_s


def _shown(seconds: list[float]) -> str:
    return " and ".join(f"{one:.1f} s" for one in seconds)


def _found(store: TableStore) -> str:
    """How the newest lists were found."""
    return str(_newest(store)["summary"])


def _newest(store: TableStore) -> Row:
    """The newest run of kNN."""
    newest = store.read(tables.RUNS).where("stage = 'knn'").orderBy("started", ascending=False).first()
    assert newest is not None
    return newest


def _products_s(block: Block, *, first: int) -> float:
    """Of all pairs, on as many threads as there are cores."""
    starts = np.arange(0, len(block), tiles.LEFT_ROWS)
    timed = starts[first::TIMED]

    def multiply(number: int) -> None:
        tile = np.empty(tiles.LEFT_ROWS * tiles.RIGHT_ROWS, np.float32)
        for x in (block.visual, block.audio):
            for i in timed[number::CORES]:
                rows = x[i : i + tiles.LEFT_ROWS]
                for j in range(0, len(x), tiles.RIGHT_ROWS):
                    columns = x[j : j + tiles.RIGHT_ROWS]
                    np.matmul(rows, columns.T, out=tile[: len(rows) * len(columns)].reshape(len(rows), len(columns)))

    with ThreadPoolExecutor(CORES) as threads:
        started_s = time.perf_counter()
        list(threads.map(multiply, range(CORES)))
        return (time.perf_counter() - started_s) * len(starts) / len(timed)
