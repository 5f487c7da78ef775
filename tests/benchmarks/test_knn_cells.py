"""Cells in one process: as samples grow, by weights of either modality, and beside faiss at equal recall.

CPU seconds on one thread; 576 + 65 dimensions, k = 20. Recall is that of mutual edges at 150 random samples, from exact
lists; every method takes its cheapest setting of those below that reaches 0.97. faiss searches concatenated vectors,
weighted alike and as the cells are, and its candidates are put in order by the joint distance. Nothing fails by its
figures; the recall predicted must be the one measured.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import TypeVar

import faiss
import numba
import numpy as np
import pytest
from knn_samples import structured_samples
from neighbor_blocks import nearest_in_cells
from threadpoolctl import threadpool_limits

from avlib.arrays import Float32Array, Int32Array, Int64Array
from avlib.neighbors import MOST_PROBES, Block, NeighborLists, NeighborRule, choose_space, nearest
from avlib.neighbors.cell_space import SPACES
from avlib.neighbors.cells import TRAINED, Cells, concatenated, train_cells
from avlib.neighbors.recall import Probes, ReachChoice, choose_reach, mutual, named_pairs, needed_reach

WEIGHTS, K, RULE = (1.0, 1.0), 20, NeighborRule()
MEMBERS = 250  # of a cell
SAMPLED, TARGET = 150, 0.97
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    small = samples(500)
    probed = trained(small).probes_within(small, 1.1, 3)
    nearest_in_cells(small, probed, weights=WEIGHTS, k=K, rule=RULE)  # compiles
    with threadpool_limits(1):
        yield
    faiss.omp_set_num_threads(before)


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started_s = time.process_time()
    result = work()
    return time.process_time() - started_s, result


def samples(rows: int) -> Block:
    return structured_samples(rows, dimensions=(576, 65))


def drawn(block: Block) -> Block:
    """The samples that cells are trained on."""
    return block.take(np.random.default_rng(0).choice(len(block), min(len(block), TRAINED * _cells(block)), False))


def trained(block: Block) -> Cells:
    sample = drawn(block)
    weights = choose_space(sample, samples=len(block), weights=WEIGHTS, k=K, rule=RULE, recall=TARGET, seed=0)
    return train_cells(sample, weights=weights, cells=_cells(block), seed=0)


def _cells(block: Block) -> int:
    return max(len(block) // MEMBERS, 1)


def edges_at_sample(block: Block, rule: NeighborRule = RULE) -> tuple[Int64Array, Int64Array]:
    """Both ends, as rows, of the exact mutual edges at the sample. The block's ids ascend."""
    rows = np.random.default_rng(1).choice(len(block), SAMPLED, replace=False)
    pairs = named_pairs(nearest(block.take(rows), [block], weights=WEIGHTS, k=K, rule=rule))
    named = np.searchsorted(block.ids, np.unique(pairs[1]))
    sample, other = mutual(pairs, nearest(block.take(named), [block], weights=WEIGHTS, k=K, rule=rule))
    return np.searchsorted(block.ids, sample), np.searchsorted(block.ids, other)


def chosen(block: Block, cells: Cells, edges: tuple[Int64Array, Int64Array]) -> ReachChoice:
    ends, places = np.unique(np.concatenate(edges), return_inverse=True)
    some = block.take(ends)
    near = cells.probes(some, MOST_PROBES)
    probes = Probes(near, cells.reaches(some, near))
    sample, other = (probes.take(rows) for rows in np.split(places, 2))
    return choose_reach(needed_reach(sample, other), edges[0], target=TARGET)


def found(neighbors: Int64Array, edges: tuple[Int64Array, Int64Array]) -> float:
    """The share of the edges that lists of rows, one for each sample, name from both ends."""
    sample, other = edges
    both = (neighbors[sample] == other[:, None]).any(axis=1) & (neighbors[other] == sample[:, None]).any(axis=1)
    return float(both.mean())


def searched(block: Block, cells: Cells, reach: float) -> tuple[float, float, Int32Array, NeighborLists]:
    """Seconds to find the probes, and to search them; the probes; the lists."""
    probes_s, probed = timed(lambda: cells.probes_within(block, reach, MOST_PROBES))
    search_s, lists = timed(lambda: nearest_in_cells(block, probed, weights=WEIGHTS, k=K, rule=RULE))
    return probes_s, search_s, probed, lists


def test_cells_as_samples_grow() -> None:
    print(f"\n{platform.processor() or platform.machine()}, one thread, {MEMBERS} members a cell; CPU s")
    print("samples | cells (w_V, w_A)   | reach | probes | recall            | train  probe  search  total | its lists")
    sizes, totals = (27_000, 54_000, 108_000, 216_000), []
    for rows in sizes:
        block = samples(rows)
        sample_s, edges = timed(lambda block=block: edges_at_sample(block))
        train_s, cells = timed(lambda block=block: trained(block))
        choice = chosen(block, cells, edges)
        probes_s, search_s, probed, lists = searched(block, cells, choice.reach)
        assert found(np.searchsorted(block.ids, lists.neighbor_ids), edges) == choice.recall
        totals.append(train_s + probes_s + search_s)
        probes = (probed >= 0).sum(axis=1).mean()
        print(
            f"{rows:7,} | {len(cells):5} {cells.weights!s:12} | {choice.reach:.3f} | {probes:6.1f} | "
            f"{choice.recall:.4f} (se {choice.standard_error:.4f}) | "
            f"{train_s:5.1f}  {probes_s:5.1f}  {search_s:6.1f}  {totals[-1]:5.1f} | {sample_s:.1f}",
            flush=True,
        )
    exponent = np.polyfit(np.log(sizes), np.log(totals), 1)[0]
    print(f"total grows with samples to the power of {exponent:.2f} (to be 1.35 or less)")


def test_weights_of_cells() -> None:
    print(f"\n{platform.processor() or platform.machine()}, {MEMBERS} members a cell; comparisons of a sample for")
    print(
        f"{TARGET} of the mutual edges, where {MOST_PROBES} probes reach it, by the (w_V, w_A) that cells are made with"
    )
    for rule in (NeighborRule(), NeighborRule("same_video"), NeighborRule("same_video", per_video=1)):
        for rows in (27_000, 108_000, 216_000):
            block = samples(rows)
            edges, sample = edges_at_sample(block, rule), drawn(block)
            told = [f"{weights}: {_comparisons(block, sample, weights, edges)}" for weights in SPACES]
            taken = choose_space(sample, samples=rows, weights=WEIGHTS, k=K, rule=rule, recall=TARGET, seed=0)
            print(
                f"{rows:7,}, {rule.exclude}, {rule.per_video} a video | {'; '.join(told)} | {taken} taken", flush=True
            )


def _comparisons(
    block: Block, sample: Block, weights: tuple[float, float], edges: tuple[Int64Array, Int64Array]
) -> str:
    cells = train_cells(sample, weights=weights, cells=_cells(block), seed=0)
    members = np.bincount(cells.probes(block, 1)[:, 0], minlength=len(cells))
    choice = chosen(block, cells, edges)
    some = block.take(np.random.default_rng(2).choice(len(block), 1_500, replace=False))
    probed = cells.probes_within(some, choice.reach, MOST_PROBES)
    compared = np.where(probed >= 0, members[probed], 0).sum(axis=1).mean()
    return f"{compared:,.0f} (recall {choice.recall:.3f})"


@numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
def joint_distances(
    visual: Float32Array, audio: Float32Array, rows: Int64Array, candidates: Int64Array
) -> Float32Array:
    distances = np.empty(candidates.shape, np.float32)
    for row, i in enumerate(rows):
        for place, j in enumerate(candidates[row]):
            square_v = square_a = np.float32(0)
            for c in range(visual.shape[1]):
                square_v += (visual[i, c] - visual[j, c]) ** 2
            for c in range(audio.shape[1]):
                square_a += (audio[i, c] - audio[j, c]) ** 2
            distances[row, place] = np.sqrt(square_v) + np.sqrt(square_a) if j >= 0 and j != i else np.inf
    return distances


def reordered(block: Block, rows: Int64Array, candidates: Int64Array) -> Int64Array:
    """The nearest of each row's candidates, nearest first."""
    order = np.argsort(joint_distances(block.visual, block.audio, rows, candidates), axis=1)[:, :K]
    return np.take_along_axis(candidates, order, axis=1)


Search = Callable[[Float32Array], Int64Array]
"""Vectors → candidates, as rows."""


def ivf(vectors: Float32Array) -> Iterator[tuple[str, float, list[tuple[str, Search | Int64Array]]]]:
    """For each build: its name and seconds, and searches from cheap to dear."""
    for lists in (216, 432):
        index = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat")
        build_s, _ = timed(lambda index=index: (index.train(vectors), index.add(vectors)))
        for candidates in (60, 120, 240, 480):

            def search(
                queries: Float32Array, index: faiss.Index = index, candidates: int = candidates, probes: int = 0
            ) -> Int64Array:
                index.nprobe = probes
                return index.search(queries, candidates)[1]

            searches = [
                (f"nprobe {probes}", partial(search, probes=probes)) for probes in (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
            ]
            yield f"IVF{lists}, {candidates} candidates", build_s, searches


def hnsw(vectors: Float32Array) -> Iterator[tuple[str, float, list[tuple[str, Search | Int64Array]]]]:
    for links in (12, 16, 32):
        index = faiss.IndexHNSWFlat(vectors.shape[1], links)
        build_s, _ = timed(lambda index=index: index.add(vectors))

        def search(queries: Float32Array, index: faiss.Index = index, breadth: int = 0) -> Int64Array:
            index.hnsw.efSearch = breadth
            return index.search(queries, breadth)[1]

        searches = [(f"efSearch = candidates {ef}", partial(search, breadth=ef)) for ef in (24, 30, 45, 60, 120, 240)]
        yield f"HNSW{links}", build_s, searches


def nn_descent(vectors: Float32Array) -> Iterator[tuple[str, float, list[tuple[str, Search | Int64Array]]]]:
    # Its graph is the lists of candidates: nothing is searched.
    for candidates in (32, 48, 64):
        index = faiss.IndexNNDescentFlat(vectors.shape[1], candidates, faiss.METRIC_L2)
        index.nndescent.L = candidates + 20
        build_s, _ = timed(lambda index=index: index.add(vectors))
        graph = faiss.vector_to_array(index.nndescent.final_graph).reshape(len(vectors), -1).astype(np.int64)
        yield f"NNDescent, {candidates} candidates", build_s, [("", graph)]


def candidates_of(search: Search | Int64Array, vectors: Float32Array, rows: Int64Array) -> Int64Array:
    return search(vectors[rows]) if callable(search) else search[rows]


def test_cells_beside_faiss() -> None:
    block = samples(108_000)
    edges = edges_at_sample(block)
    ends, everything = np.unique(np.concatenate(edges)), np.arange(len(block))
    reordered(block, ends[:9], np.zeros((9, K), np.int64))  # compiles
    print(f"\n{platform.processor() or platform.machine()}, one thread, {len(block):,} samples; CPU s, all included")
    train_s, cells = timed(lambda: trained(block))
    choice = chosen(block, cells, edges)
    probes_s, search_s, _, _ = searched(block, cells, choice.reach)
    print(
        f"{train_s + probes_s + search_s:5.1f} s  recall {choice.recall:.4f}  cells, probed to {choice.reach:.3f}",
        flush=True,
    )
    neighbors = np.full((len(block), K), -1, np.int64)
    for weights, method in product(sorted({WEIGHTS, cells.weights}), (ivf, hnsw, nn_descent)):
        vectors = concatenated(block, weights)
        for name, build_s, searches in method(vectors):
            for setting, search in searches:
                neighbors[ends] = reordered(block, ends, candidates_of(search, vectors, ends))
                recall = found(neighbors, edges)
                if recall >= TARGET:
                    seconds, _ = timed(
                        lambda search=search, vectors=vectors: reordered(
                            block, everything, candidates_of(search, vectors, everything)
                        )
                    )
                    print(f"{build_s + seconds:5.1f} s  recall {recall:.4f}  {name} {setting}, {weights}", flush=True)
                    break
            else:
                print(f"        recall {recall:.4f}  {name} {setting}, {weights}: not enough", flush=True)
