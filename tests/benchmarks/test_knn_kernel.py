"""The exact search in one process beside the matrix products alone, and beside faiss: CPU seconds on one thread.

54,000 samples, k = 20. The products: all n × n of both modalities, in the same tiles by the same BLAS, each into the
same memory; every tenth row of tiles is timed, half before the search and half after, and scaled. faiss.knn: one
modality, a tenth of the queries, scaled. Nothing fails by its figures; the lists must be right.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import faiss
import numpy as np
import pytest
from knn_samples import structured_samples
from threadpoolctl import threadpool_info, threadpool_limits

from avlib.arrays import Int64Array
from avlib.neighbors import Block, NeighborLists, NeighborRule, PairSearch, merged, side, tiles

SAMPLES, BLOCKS, K, CHECKED = 54_000, 8, 20, 2_000
TIMED = 10  # one in so many rows of tiles, or queries of faiss


def cpu_s(work: Callable[[], object]) -> float:
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def products(block: Block, left_starts: Int64Array) -> None:
    """The products of these rows of tiles."""
    for x in (block.visual, block.audio):
        for i in left_starts:
            rows = x[i : i + tiles.LEFT_ROWS]
            for j in range(0, len(x), tiles.RIGHT_ROWS):
                columns = x[j : j + tiles.RIGHT_ROWS]
                np.matmul(rows, columns.T, out=_TILE[: len(rows) * len(columns)].reshape(len(rows), len(columns)))


_TILE = np.empty(tiles.LEFT_ROWS * tiles.RIGHT_ROWS, np.float32)


def search(blocks: list[Block], weights: tuple[float, float], tasks: int) -> NeighborLists:
    """Of all pairs of blocks, by as many searches, merged."""
    sides = [side(block) for block in blocks]
    searches = [PairSearch(weights=weights, k=K, rule=NeighborRule()) for _ in range(tasks)]
    for i in range(len(sides)):
        for j in range(i, len(sides)):
            searches[(i + j) % tasks].fold(sides[i], sides[j])
    partials = [done.lists() for done in searches]
    return partials[0] if tasks == 1 else merged(partials, k=K, rule=NeighborRule())


def check(lists: NeighborLists, block: Block, weights: tuple[float, float]) -> None:
    """Some lists against all distances in float64. Products in float64 are right to 1e-7 in a distance."""
    rows = np.random.default_rng(2).choice(len(block), CHECKED, replace=False)
    for part in np.array_split(rows, 20):
        d = np.zeros((len(part), len(block)))
        for x, weight in zip((block.visual, block.audio), weights, strict=True):
            x = x.astype(np.float64)
            squares = np.einsum("ij,ij->i", x, x)
            d += weight * np.sqrt(np.maximum(squares[part, None] + squares - 2 * x[part] @ x.T, 0))
        d[np.arange(len(part)), part] = np.inf
        listed = np.searchsorted(block.ids, lists.neighbor_ids[part])
        nearest = np.sort(np.partition(d, K, axis=1)[:, : K + 1], axis=1)
        np.testing.assert_allclose(lists.distances[part], nearest[:, :K], atol=1e-6)
        np.testing.assert_allclose(np.take_along_axis(d, listed, axis=1), nearest[:, :K], atol=1e-6)
        assert all(len(set(row)) == K for row in listed)


@pytest.mark.parametrize("dimension", [576, 1280])
def test_exact_search_beside_its_products(dimension: int) -> None:
    block = structured_samples(SAMPLES, dimensions=(dimension, 65))
    order = np.random.default_rng(1).permutation(SAMPLES)
    blocks = [block.take(rows) for rows in np.array_split(order, BLOCKS)]
    search(blocks[:1], (1, 1), 2)  # compiles
    starts = np.arange(0, SAMPLES, tiles.LEFT_ROWS)
    before, after = starts[:: 2 * TIMED], starts[TIMED :: 2 * TIMED]
    with threadpool_limits(1):
        products(block, before[:1])
        products_s = cpu_s(lambda: products(block, before))
        found: list[NeighborLists] = []
        search_s = cpu_s(lambda: found.append(search(blocks, (1, 1), 1)))
        products_s += cpu_s(lambda: products(block, after))
        products_s *= len(starts) / (len(before) + len(after))
        blas = ", ".join(f"{x['internal_api']} {x['version']} {x['architecture']}" for x in blas_libraries())
        print(f"\n{platform.processor() or platform.machine()}, one thread; {blas}; 1 in {TIMED} rows of tiles timed")
        print(f"{SAMPLES:,} × ({dimension} + 65), k = {K}: search {search_s:.1f} s, products alone {products_s:.1f} s")
        print(f"ratio {search_s / products_s:.2f} (to be 0.9 or less)", flush=True)
        check(found[0], block, (1, 1))


def test_partial_lists_merge() -> None:
    block = structured_samples(SAMPLES // 10, dimensions=(576, 65))
    blocks = [block.take(rows) for rows in np.array_split(np.arange(len(block)), BLOCKS)]
    whole, partial = search(blocks, (1, 1), 1), search(blocks, (1, 1), 5)
    np.testing.assert_array_equal(whole.neighbor_ids, partial.neighbor_ids)
    random = np.random.default_rng(0)
    parts = [
        NeighborLists(
            random.permutation(SAMPLES),
            random.integers(0, SAMPLES, (SAMPLES, K)),
            np.sort(random.random((SAMPLES, K), np.float32), axis=1),
        )
        for _ in range(5)
    ]
    seconds = cpu_s(lambda: merged(parts, k=K, rule=NeighborRule()))
    print(f"\nmerged: {SAMPLES:,} samples, 5 partial lists of {K} each: {seconds:.2f} s")


def test_one_modality_beside_faiss() -> None:
    block = structured_samples(SAMPLES, dimensions=(576, 65))
    blocks = [block.take(rows) for rows in np.array_split(np.arange(SAMPLES), BLOCKS)]
    search(blocks[:1], (1, 0), 1)  # compiles
    with threadpool_limits(1):
        faiss.omp_set_num_threads(1)
        queries = block.visual[::TIMED].copy()
        faiss_s = TIMED * cpu_s(lambda: faiss.knn(queries, block.visual, K + 1))
        search_s = cpu_s(lambda: search(blocks, (1, 0), 1))
    print(f"\n{SAMPLES:,} × 576, k = {K}: search {search_s:.1f} s, faiss.knn {faiss_s:.1f} s (a tenth, scaled)")
    print(f"ratio {search_s / faiss_s:.2f}", flush=True)


def blas_libraries() -> list[dict[str, str]]:
    """Of those loaded, numpy's."""
    return [library for library in threadpool_info() if "numpy" in library["filepath"]]
