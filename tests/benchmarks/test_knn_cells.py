"""Cells in one process, as samples grow, and beside faiss at equal recall: CPU seconds on one thread.

576 + 65 dimensions, k = 20. Recall is that of mutual edges at 150 random samples, from exact lists; every method takes
its cheapest setting of those below that reaches 0.97. faiss searches the concatenated vectors, and its candidates are
put in order by the joint distance. Nothing fails by its figures; the recall predicted must be the one measured.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import faiss
import numba
import numpy as np
import pytest
from knn_samples import structured_samples
from threadpoolctl import threadpool_limits

from avlib.arrays import Float32Array, Int64Array
from avlib.neighbors import Block, NeighborLists, NeighborRule, nearest
from avlib.neighbors.cell_search import CellSearch, nearest_in_cells
from avlib.neighbors.cells import TRAINED, Cells, concatenated, train_cells
from avlib.neighbors.recall import ProbeChoice, choose_probes, mutual_edges_at, named_ids, needed_probes

WEIGHTS, K, RULE = (1.0, 1.0), 20, NeighborRule()
MEMBERS, MOST_PROBES = 250, 48  # members of a cell, probes looked at
SAMPLED, TARGET = 150, 0.97
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    small = samples(500)
    nearest_in_cells(small, trained(small), k=K, rule=RULE, probes=1)  # compiles
    with threadpool_limits(1):
        yield
    faiss.omp_set_num_threads(before)


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started_s = time.process_time()
    result = work()
    return time.process_time() - started_s, result


def samples(rows: int) -> Block:
    return structured_samples(rows, dimensions=(576, 65))


def trained(block: Block) -> Cells:
    cells = max(len(block) // MEMBERS, 1)
    rows = np.random.default_rng(0).choice(len(block), min(len(block), TRAINED * cells), replace=False)
    return train_cells(block.take(rows), weights=WEIGHTS, cells=cells, seed=0)


def edges_at_sample(block: Block) -> tuple[Int64Array, Int64Array]:
    """Both ends, as rows, of the exact mutual edges at the sample. The block's ids ascend."""
    rows = np.random.default_rng(1).choice(len(block), SAMPLED, replace=False)
    named = named_ids(nearest(block.take(rows), [block], weights=WEIGHTS, k=K, rule=RULE))
    looked_at = np.union1d(rows, np.searchsorted(block.ids, named))
    exact = nearest(block.take(looked_at), [block], weights=WEIGHTS, k=K, rule=RULE)
    sample, other = mutual_edges_at(block.ids[rows], exact)
    return np.searchsorted(block.ids, sample), np.searchsorted(block.ids, other)


def chosen(block: Block, cells: Cells, edges: tuple[Int64Array, Int64Array]) -> ProbeChoice:
    ends, places = np.unique(np.concatenate(edges), return_inverse=True)
    sample, other = np.split(cells.probes(block.take(ends), MOST_PROBES)[places], 2)
    return choose_probes(needed_probes(sample, other), edges[0], target=TARGET, most=sample.shape[1])


def found(neighbors: Int64Array, edges: tuple[Int64Array, Int64Array]) -> float:
    """The share of the edges that lists of rows, one for each sample, name from both ends."""
    sample, other = edges
    both = (neighbors[sample] == other[:, None]).any(axis=1) & (neighbors[other] == sample[:, None]).any(axis=1)
    return float(both.mean())


def searched(block: Block, cells: Cells, probes: int) -> tuple[float, float, NeighborLists]:
    """Seconds to find the probes, and to search them; the lists."""
    probes_s, probed = timed(lambda: cells.probes(block, probes))

    def search() -> NeighborLists:
        cell_search = CellSearch(block, probed, weights=WEIGHTS, k=K, rule=RULE)
        cell_search.compare_members()
        return cell_search.lists()

    return probes_s, *timed(search)


def test_cells_as_samples_grow() -> None:
    print(f"\n{platform.processor() or platform.machine()}, one thread, {MEMBERS} members a cell; CPU s")
    print("samples | cells | probes | recall            | train  probe  search  total | sample's exact lists")
    sizes, totals = (27_000, 54_000, 108_000, 216_000), []
    for rows in sizes:
        block = samples(rows)
        sample_s, edges = timed(lambda block=block: edges_at_sample(block))
        train_s, cells = timed(lambda block=block: trained(block))
        choice = chosen(block, cells, edges)
        probes_s, search_s, lists = searched(block, cells, choice.probes)
        assert found(np.searchsorted(block.ids, lists.neighbor_ids), edges) == choice.recall
        totals.append(train_s + probes_s + search_s)
        print(
            f"{rows:7,} | {len(cells):5} | {choice.probes:6} | {choice.recall:.4f} (se {choice.standard_error:.4f}) | "
            f"{train_s:5.1f}  {probes_s:5.1f}  {search_s:6.1f}  {totals[-1]:5.1f} | {sample_s:.1f}",
            flush=True,
        )
    exponent = np.polyfit(np.log(sizes), np.log(totals), 1)[0]
    print(f"total grows with samples to the power of {exponent:.2f} (to be 1.35 or less)")


@numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
def joint_distances(visual: Float32Array, audio: Float32Array, candidates: Int64Array) -> Float32Array:
    distances = np.empty(candidates.shape, np.float32)
    for i in range(len(candidates)):
        for place, j in enumerate(candidates[i]):
            square_v = square_a = np.float32(0)
            for c in range(visual.shape[1]):
                square_v += (visual[i, c] - visual[j, c]) ** 2
            for c in range(audio.shape[1]):
                square_a += (audio[i, c] - audio[j, c]) ** 2
            distances[i, place] = np.sqrt(square_v) + np.sqrt(square_a) if j >= 0 and j != i else np.inf
    return distances


def reordered(block: Block, candidates: Int64Array) -> Int64Array:
    distances = joint_distances(block.visual, block.audio, candidates)
    nearest_first = np.argsort(distances, axis=1)[:, :K]
    return np.take_along_axis(candidates, nearest_first, axis=1)


def ivf(vectors: Float32Array) -> Iterator[tuple[str, float, Callable[[], Int64Array]]]:
    for lists in (216, 432):
        index = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat")
        build_s, _ = timed(lambda index=index: (index.train(vectors), index.add(vectors)))
        for probes in (2, 3, 4, 6, 8, 12, 16):
            for candidates in (30, 60):

                def search(
                    index: faiss.Index = index, probes: int = probes, candidates: int = candidates
                ) -> Int64Array:
                    index.nprobe = probes
                    return index.search(vectors, candidates)[1]

                yield f"IVF{lists}, nprobe {probes}, {candidates} candidates", build_s, search


def hnsw(vectors: Float32Array) -> Iterator[tuple[str, float, Callable[[], Int64Array]]]:
    for links in (16,):
        index = faiss.IndexHNSWFlat(vectors.shape[1], links)
        build_s, _ = timed(lambda index=index: index.add(vectors))
        for breadth in (30, 45, 60, 120):

            def search(index: faiss.Index = index, breadth: int = breadth) -> Int64Array:
                index.hnsw.efSearch = breadth
                return index.search(vectors, breadth)[1]

            yield f"HNSW{links}, {breadth} looked at and candidates", build_s, search


def nn_descent(vectors: Float32Array) -> Iterator[tuple[str, float, Callable[[], Int64Array]]]:
    # Its graph is the lists of candidates: nothing is searched.
    for candidates in (32, 48, 64):

        def build(candidates: int = candidates) -> Int64Array:
            index = faiss.IndexNNDescentFlat(vectors.shape[1], candidates, faiss.METRIC_L2)
            index.nndescent.L = candidates + 20
            index.add(vectors)
            graph = faiss.vector_to_array(index.nndescent.final_graph)
            return graph.reshape(len(vectors), -1).astype(np.int64)

        yield f"NNDescent, {candidates} candidates", 0.0, build


def test_cells_beside_faiss() -> None:
    block = samples(54_000)
    edges = edges_at_sample(block)
    vectors = concatenated(block, WEIGHTS)
    reordered(block.take(np.arange(50)), np.zeros((50, K), np.int64))  # compiles
    print(f"\n{platform.processor() or platform.machine()}, one thread, {len(block):,} samples; CPU s, all included")
    train_s, cells = timed(lambda: trained(block))
    choice = chosen(block, cells, edges)
    probes_s, search_s, _ = searched(block, cells, choice.probes)
    print(
        f"{train_s + probes_s + search_s:5.1f} s  recall {choice.recall:.4f}  cells, {choice.probes} probes", flush=True
    )
    for method in (ivf, hnsw, nn_descent):
        best = (np.inf, 0.0, "none of the settings")
        for name, build_s, search in method(vectors):
            search_s, candidates = timed(search)
            order_s, neighbors = timed(lambda candidates=candidates: reordered(block, candidates))
            recall, seconds = found(neighbors, edges), build_s + search_s + order_s
            if recall >= TARGET and seconds < best[0]:
                best = (seconds, recall, name)
        print(f"{best[0]:5.1f} s  recall {best[1]:.4f}  {best[2]}", flush=True)
