"""Samples for the tests of the neighbor search, its reference, brute force in float64, and a search in all cells."""

from __future__ import annotations

import numpy as np

from avlib.neighbors import Block, CellSearch, NeighborLists, NeighborRule

RULES = [
    NeighborRule(),
    NeighborRule("same_video"),
    NeighborRule("window", 0.4),
    NeighborRule("none", per_video=1),
    NeighborRule("same_video", per_video=2),
    NeighborRule("window", 1.0, per_video=1),
]
WEIGHTS = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.3, 2.0)]


def make_block(rows: int, *, videos: int = 5, dimensions: tuple[int, int] = (17, 6), seed: int = 0) -> Block:
    """Unit descriptors in runs per video; some are exact duplicates, near-duplicates or zero."""
    random = np.random.default_rng(seed)
    video = np.sort(random.integers(0, videos, rows))
    frame = np.arange(rows)

    def descriptors(dimension: int) -> np.ndarray:
        x = random.normal(size=(rows, dimension))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        if rows > 8:
            a, b, c = random.permutation(rows)[: rows // 4 * 3].reshape(3, -1)
            x[b] = x[a]
            x[c] = x[a] + 1e-4 * random.normal(size=x[a].shape)
            x[random.integers(0, rows, 3)] = 0
        return x.astype(np.float32)

    ids = (video.astype(np.int64) << 24) + frame
    return Block(ids, descriptors(dimensions[0]), descriptors(dimensions[1]), frame / 5)


def make_shots(*, steady: str) -> Block:
    """120 shots of 24 samples, of 12 kinds. Samples of a shot are of one kind in a steady modality, else of any.

    steady: visual or audio; or both, which then vary as much inside a shot as between shots of a kind.
    """
    random = np.random.default_rng(0)
    frame = np.arange(120 * 24)
    shot = frame // 24

    def descriptors(name: str) -> np.ndarray:
        kinds = random.integers(0, 12, 120)[shot] if steady in (name, "both") else random.integers(0, 12, len(frame))
        x = random.normal(size=(12, 24))[kinds] + 0.7 * random.normal(size=(120, 24))[shot]
        x += (0.7 if steady == "both" else 0.1) * random.normal(size=x.shape)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    ids = (frame // 96 << 24) + frame % 96
    return Block(ids, descriptors("visual"), descriptors("audio"), frame / 5)


def nearest_in_cells(
    samples: Block, probes: np.ndarray, *, weights: tuple[float, float], k: int, rule: NeighborRule
) -> NeighborLists:
    """The lists of all samples, in their order, by one search of all cells.  probes: as of `CellSearch`."""
    search = CellSearch(samples, probes, weights=weights, k=k, rule=rule)
    search.compare_members()
    return search.lists()


def brute_force(
    queries: Block, samples: Block, *, weights: tuple[float, float], k: int, rule: NeighborRule
) -> tuple[np.ndarray, np.ndarray]:
    """One pair at a time, in float64, straight from the definition."""
    ids = np.full((len(queries), k), -1)
    distances = np.full((len(queries), k), np.inf)
    for i, query in enumerate(queries.ids):
        visual, audio = queries.visual[i].astype(np.float64), queries.audio[i].astype(np.float64)
        d = weights[0] * np.linalg.norm(samples.visual - visual, axis=1)
        d += weights[1] * np.linalg.norm(samples.audio - audio, axis=1)
        found = 0
        count: dict[int, int] = {}
        for j in sorted(range(len(samples)), key=lambda j: (round(d[j], 6), samples.ids[j])):
            video = samples.ids[j] >> 24
            own = video == query >> 24
            near = abs(samples.times_s[j] - queries.times_s[i]) < rule.exclude_s + 1e-9
            if samples.ids[j] == query or (own and rule.exclude == "same_video"):
                continue
            if own and rule.exclude == "window" and near:
                continue
            if rule.per_video and not own and count.get(video, 0) == rule.per_video:
                continue
            count[video] = count.get(video, 0) + 1
            ids[i, found], distances[i, found] = samples.ids[j], d[j]
            found += 1
            if found == k:
                break
    return ids, distances


def assert_same(left: NeighborLists, right: NeighborLists) -> None:
    np.testing.assert_array_equal(left.ids, right.ids)
    np.testing.assert_array_equal(left.neighbor_ids, right.neighbor_ids)
    np.testing.assert_array_equal(left.distances, right.distances)
