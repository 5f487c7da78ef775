"""Connected components beside scipy and an empty Spark job: seconds and rounds. Nothing fails by its figures.

scipy: csgraph alone, on nodes numbered from 0; and from 64-bit ids, with np.unique. Spark: from a Parquet file with
such ids to verified components, round tables and their checks included, with the one-task finish allowed and
forbidden. A round: large-star, small-star, contraction.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import coo_array, csgraph

from avlib.arrays import Int64Array
from avlib.spark.components import components, verify

pytestmark = pytest.mark.spark

Ends = tuple[Int64Array, Int64Array]


def knn(nodes: int, k: int) -> Ends:
    """A million pairs of near neighbors among points around random centres."""
    random = np.random.default_rng(0)
    centres = random.normal(scale=3, size=(nodes // 100, 16))
    points = (centres[random.integers(0, len(centres), nodes)] + random.normal(size=(nodes, 16))).astype(np.float32)
    index = faiss.index_factory(16, "IVF256,Flat")
    index.train(points)
    index.add(points)
    index.nprobe = 8
    near = index.search(points, k + 1)[1][:, 1:].ravel()
    src = np.repeat(np.arange(nodes), k)[near >= 0]
    dst = near[near >= 0]
    pairs = random.permutation(np.unique(np.minimum(src, dst) * nodes + np.maximum(src, dst)))[:1_000_000]
    return pairs // nodes, pairs % nodes


def path(nodes: int) -> Ends:
    return np.arange(nodes - 1), np.arange(1, nodes)


def random_graph(edges: int) -> Ends:
    src, dst = np.random.default_rng(0).integers(0, edges * 2 // 5, (2, edges))
    return src, dst


GRAPHS: dict[str, Callable[[], Ends]] = {
    "kNN 54k, 1M edges": lambda: knn(54_000, 30),
    "kNN 200k, 1M edges": lambda: knn(200_000, 8),
    "path, 1M nodes": lambda: path(1_000_000),
    "random, 1M edges": lambda: random_graph(1_000_000),
    "random, 5M edges": lambda: random_graph(5_000_000),
    "random, 10M edges": lambda: random_graph(10_000_000),
}


def written(graph: Ends, place: Path) -> Ends:
    """The graph with large ids in random order, its edges too, as a Parquet file."""
    random = np.random.default_rng(1)
    src, dst = graph
    ids = random.permutation(int(max(src.max(), dst.max())) + 1) * 2**24 + 7
    order = random.permutation(len(src))
    src, dst = ids[src[order]], ids[dst[order]]
    pq.write_table(pa.table({"src": src, "dst": dst}), place, row_group_size=200_000)
    return src, dst


def scipy_s(src: Int64Array, dst: Int64Array) -> tuple[float, float, int]:
    """Seconds of csgraph alone, seconds from ids, components."""
    started = time.perf_counter()
    ids, ends = np.unique(np.concatenate([src, dst]), return_inverse=True)
    numbered = time.perf_counter()
    graph = coo_array((np.ones(len(src), np.int8), tuple(np.split(ends, 2))), shape=(len(ids), len(ids)))
    count = csgraph.connected_components(graph, directed=False)[0]
    ended = time.perf_counter()
    return ended - numbered, ended - started, int(count)


def empty_job_s(spark: SparkSession, folder: Path) -> float:
    started = time.perf_counter()
    rows = spark.range(2, numPartitions=2).mapInArrow(lambda batches: batches, "id bigint")
    rows.write.mode("overwrite").parquet(str(folder))
    return time.perf_counter() - started


def spark_s(spark: SparkSession, given: Path, folder: Path, one_task_edges: int) -> tuple[float, int, int]:
    """Seconds, round tables after the first contraction, components."""
    edges = spark.read.parquet(str(given))
    started = time.perf_counter()
    found = components(edges, folder=str(folder), one_task_edges=one_task_edges)
    verify(edges, found)
    seconds = time.perf_counter() - started
    rounds = json.loads((folder / "journal.json").read_text())["rounds"][-1]["number"]
    count = found.select("component_id").distinct().count()
    shutil.rmtree(folder)
    return seconds, rounds, count


def test_components_beside_scipy(spark: SparkSession, tmp_path: Path) -> None:
    place, folder = tmp_path / "edges.parquet", tmp_path / "rounds"
    written(path(1000), place)
    spark_s(spark, place, folder, 0)  # starts Python workers, compiles
    print(f"\n{platform.processor() or platform.machine()}, local[2]; seconds; x: times csgraph alone")
    print(f"{'graph':<20} csgraph | from ids | empty job | one-task finish     x | forbidden     x rounds")
    taken: dict[str, tuple[float, float]] = {}
    for name, make in GRAPHS.items():
        csgraph_s, from_ids_s, count = scipy_s(*written(make(), place))
        empty_s = min(empty_job_s(spark, tmp_path / "empty") for _ in range(3))
        allowed_s, _, allowed = spark_s(spark, place, folder, 10**9)
        forbidden_s, rounds, forbidden = spark_s(spark, place, folder, 0)
        assert count == allowed == forbidden
        taken[name] = allowed_s, forbidden_s
        print(
            f"{name:<20} {csgraph_s:7.2f} | {from_ids_s:8.2f} | {empty_s:9.2f} | "
            f"{allowed_s:15.1f} {allowed_s / csgraph_s:5.1f} | {forbidden_s:9.1f} {forbidden_s / csgraph_s:5.1f} "
            f"{rounds:6}",
            flush=True,
        )
    growth = [large / small for small, large in zip(taken["random, 1M edges"], taken["random, 10M edges"], strict=True)]
    print(f"random, 10M edges beside 1M: {growth[0]:.1f} x with the one-task finish, {growth[1]:.1f} x without")
