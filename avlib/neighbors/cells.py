"""Cells: parts of the space of samples, found by k-means, so that a sample is compared with those near it only.

k-means and nearest cells go by L2 of the vectors x = [w_V · v, w_A · a]. With the weights of the search that is near
its distance: c = ‖x_i - x_j‖ and d = w_V · ‖v_i - v_j‖ + w_A · ‖a_i - a_j‖ obey c ≤ d ≤ √2 · c. Others may serve
better (see `cell_space`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import faiss
import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from avlib.errors import ParameterError
from avlib.neighbors.block import Block
from avlib.neighbors.ranking import count_within, rank_cells, reaches

FLAT_TRAINING = 2048
"""Up to so many cells are trained at once, more hub by hub, which is cheaper and makes worse cells."""

FLAT_CELLS = 8192
"""Up to so many cells a sample is compared with all of them; of more, with those near its hub, which costs recall."""

LARGE = 4
"""Training splits a cell that has this many times the mean number of samples."""

TRAINED = 32
"""Training samples for each cell. Of more k-means takes a random part; twice as many made the cells no better."""

_ITERATIONS = 8


@dataclass(frozen=True, eq=False)
class Cells:
    """Where the cells are. A sample is a member of its nearest cell, and probes the next ones too.

    weights: (w_V, w_A) that the vectors were made with.
    centroids: shape (c, d), float32, of vectors [w_V · v, w_A · a]; a modality of weight 0 is left out.
    hubs: shape (h, d), float32, and near_hubs: shape (h, m), int32, ascending: the cells among which the samples
        nearest to a hub look for theirs. With one hub these are all cells.
    """

    weights: tuple[float, float]
    centroids: Float32Array
    hubs: Float32Array
    near_hubs: Int32Array

    def __len__(self) -> int:
        return len(self.centroids)

    def probes(self, block: Block, n: int) -> Int32Array:
        """The n nearest cells of every sample, nearest first; of equally near ones the smaller number first.

        Returns shape (rows, min(n, m)); fewer probes are its first columns. A row depends on the sample's
        descriptors alone, not on the rest of the block and not on the BLAS.
        """
        return self._probes(self._vectors(block), n)

    def reaches(self, block: Block, probes: Int32Array) -> Float64Array:
        """How many times as far as a sample's own cell each of its probes is, 1 or more. Shape of the probes."""
        return reaches(self._vectors(block), self.centroids, probes)

    def probes_within(self, block: Block, reach: float, most: int) -> Int32Array:
        """The cells at most `reach` times as far from every sample as its own, nearest first, but no more than `most`.

        Returns shape (rows, p), -1 after the last. A row depends on what a row of `probes` depends on.
        """
        if not reach >= 1:
            raise ParameterError("reach", reach, "1 or more")
        vectors = self._vectors(block)
        probes = self._probes(vectors, most, reach)
        counts = count_within(vectors, self.centroids, probes, reach)
        probes = probes[:, : counts.max(initial=1)]
        return np.where(np.arange(probes.shape[1]) < counts[:, None], probes, np.int32(-1))

    def _vectors(self, block: Block) -> Float32Array:
        vectors = concatenated(block, self.weights)
        if vectors.shape[1] != self.centroids.shape[1]:
            raise ParameterError("block", f"{vectors.shape[1]}-d", f"{self.centroids.shape[1]}-d, as the cells")
        return vectors

    def _probes(self, vectors: Float32Array, n: int, reach: float = math.inf) -> Int32Array:
        if n < 1:
            raise ParameterError("n", n, "1 or more")
        if len(self.hubs) == 1:
            return rank_cells(vectors, self.centroids, min(n, len(self)), reach=reach)
        probes = np.empty((len(vectors), min(n, self.near_hubs.shape[1])), np.int32)
        nearest_hub = rank_cells(vectors, self.hubs, 1)[:, 0]
        for hub in np.unique(nearest_hub):
            rows, near = np.flatnonzero(nearest_hub == hub), self.near_hubs[hub]
            ranked = rank_cells(vectors[rows], self.centroids[near], probes.shape[1], reach=reach)
            probes[rows] = np.where(ranked >= 0, near[ranked], -1)
        return probes


def concatenated(block: Block, weights: tuple[float, float]) -> Float32Array:
    """The vectors [w_V · v, w_A · a]. Shape (rows, d), float32; a modality of weight 0 is left out."""
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ParameterError("weights", weights, "w_V and w_A of 0 or more, not both 0")
    pairs = zip((block.visual, block.audio), weights, strict=True)
    parts = [(descriptors, np.float32(weight)) for descriptors, weight in pairs if weight]
    vectors = np.empty((len(block), sum(descriptors.shape[1] for descriptors, _ in parts)), np.float32)
    column = 0
    for descriptors, weight in parts:
        stop = column + descriptors.shape[1]
        np.multiply(descriptors, weight, out=vectors[:, column:stop])
        column = stop
    return vectors


def train_cells(sample: Block, *, weights: tuple[float, float], cells: int, seed: int) -> Cells:
    """Cells by k-means on a random sample of the samples, in any order.

    sample: `TRAINED` samples for each cell are enough.
    cells: how many are aimed at; with fewer different samples there are fewer. Cells without samples are dropped,
    and those with more than `LARGE` times the mean are split, so there may be a few less or more.
    More than `FLAT_TRAINING` are trained hub by hub: k-means with √cells hubs, then k-means of each hub's samples.
    Raises ParameterError for an empty sample and for cells below 1.
    """
    if not len(sample) or cells < 1:
        raise ParameterError("cells", (cells, len(sample)), "1 or more cells, and samples to train them on")
    sample = sample.take(np.argsort(sample.ids))
    vectors = concatenated(sample, weights)
    hubs = vectors[:1]
    if cells <= FLAT_TRAINING:
        centroids = _k_means(vectors, cells, seed)
    else:
        hubs = _k_means(vectors, math.isqrt(cells), seed)
        nearest_hub = rank_cells(vectors, hubs, 1)[:, 0]
        parts = [vectors[nearest_hub == hub] for hub in range(len(hubs))]
        centroids = np.vstack([_k_means(part, -(-cells * len(part) // len(vectors)), seed) for part in parts])
    trained = _with_hubs(weights, centroids, hubs)
    members = np.bincount(trained.probes(sample, 1)[:, 0], minlength=len(trained))
    trained = _with_hubs(weights, centroids[members > 0], hubs)
    members = members[members > 0]
    return split_large(trained, sample, members=members, max_members=LARGE * -(-len(sample) // cells), seed=seed)


def split_large(cells: Cells, samples: Block, *, members: Int64Array, max_members: int, seed: int) -> Cells:
    """Split the cells with too many members by k-means inside.

    samples: all, or a random sample, of the members of large cells; others do no harm.
    members: shape (c,), the number of members of every cell.
    Returns cells in which a split cell keeps its number for one of its parts; the others come last. Parts have half
    of max_members on average; members with equal descriptors stay together, however many.
    """
    large = np.flatnonzero(members > max_members)
    if not len(large):
        return cells
    samples = samples.take(np.argsort(samples.ids))
    own = cells.probes(samples, 1)[:, 0]
    centroids, added = cells.centroids.copy(), []
    for cell in large:
        inside = concatenated(samples.take(np.flatnonzero(own == cell)), cells.weights)
        parts = _k_means(inside, -(-2 * int(members[cell]) // max_members), seed)
        if len(parts) > 1:
            centroids[cell] = parts[0]
            added.append(parts[1:])
    return _with_hubs(cells.weights, np.vstack([centroids, *added]), cells.hubs)


def deal_cells(cells: Cells, *, members: Int64Array, groups: int) -> Int32Array:
    """A group for every cell: near cells together, about as many members in each group.

    members: shape (c,), the number of members of every cell.  groups: how many; some get no cell where cells are few.
    Returns shape (c,), 0 to groups - 1. Groups decide what moves between tasks, never which pairs are compared.
    """
    if groups < 1:
        raise ParameterError("groups", groups, "1 or more")
    dealt = np.zeros(len(cells), np.int32)
    parts = [(np.arange(len(cells)), 0, groups)]
    while parts:
        part, first, count = parts.pop()
        dealt[part] = first
        if count > 1 and len(part):
            # Cut across the direction in which they differ most, where the members are shared out by the groups.
            x = cells.centroids[part] - cells.centroids[part].mean(axis=0)
            part = part[np.argsort(x @ np.linalg.eigh(x.T @ x)[1][:, -1], kind="stable")]
            before = np.cumsum(members[part]) - members[part] / 2
            cut = int(np.searchsorted(before, members[part].sum() * (count // 2) / count))
            parts += [(part[:cut], first, count // 2), (part[cut:], first + count // 2, count - count // 2)]
    return dealt


def _with_hubs(weights: tuple[float, float], centroids: Float32Array, hubs: Float32Array) -> Cells:
    hubs = hubs if len(centroids) > FLAT_CELLS else hubs[:1]
    near = min(len(centroids), FLAT_CELLS) if len(hubs) > 1 else len(centroids)
    return Cells(weights, centroids, hubs, np.sort(rank_cells(hubs, centroids, near), axis=1))


def _k_means(vectors: Float32Array, centroids: int, seed: int) -> Float32Array:
    # Without those to which no vector is nearest, as where there are fewer different vectors than centroids.
    if len(vectors) <= centroids:
        return np.unique(vectors, axis=0)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # the order of additions, and so the result, would hang on it
    try:
        k_means = faiss.Kmeans(
            vectors.shape[1],
            centroids,
            niter=_ITERATIONS,
            seed=seed,
            min_points_per_centroid=1,
            max_points_per_centroid=TRAINED,
        )
        k_means.train(vectors)
    finally:
        faiss.omp_set_num_threads(threads)
    found = np.asarray(k_means.centroids, np.float32)
    return found[np.unique(rank_cells(vectors, found, 1))]
