"""The copies in a collection that fits into memory. The Spark stage is its twin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from avlib.agreement import ACROSS_VIDEOS, drawn
from avlib.arrays import Int64Array
from avlib.config import CopySettings
from avlib.copies.sketch import COMPARED, Sketch, random_pair_medians, search_weights
from avlib.copies.stretches import Grid, compared, originals_of
from avlib.identity import MAX_FRAMES, VIDEO_ID_SHIFT, video_ids
from avlib.neighbors import Block, nearest

LEAST_ALIKE = 2
"""So many near ones, and a pair of videos is compared."""

MOST_ORIGINALS = 64
"""Videos that one video is compared with: those that it is most often like, and the earliest that it is like."""


@dataclass(frozen=True, eq=False)
class CopiesFound:
    """Samples that are copies.

    ids: shape (m,), ascending.  originals: shape (m,), a sample of an earlier video each, which may be a copy too.
    """

    ids: Int64Array
    originals: Int64Array


def copies_in_memory(samples: Block, settings: CopySettings) -> CopiesFound:
    """Which samples are copies of another video's. samples: normalised, in ascending order of id."""
    known = samples.take(drawn(samples.ids, COMPARED, seed=settings.seed))
    grid = Grid.of(known.ids, known.times_s)
    step = grid.every(samples_hz=settings.samples_hz)
    sketch = Sketch(settings.seed)
    some = samples.take(_every(samples.ids, step))
    some = Block(some.ids, sketch(some.visual), sketch(some.audio), some.times_s)
    known = some.take(drawn(some.ids, COMPARED, seed=settings.seed))
    weights = search_weights(random_pair_medians(video_ids(known.ids), known.visual, known.audio))
    found: dict[int, int] = {}
    if weights is None:
        return CopiesFound(np.empty(0, np.int64), np.empty(0, np.int64))
    listed = some.take(_every(some.ids, grid.listed(step=step)))
    for video, original in _pairs(listed, weights, settings):
        blocks = (some.take(_rows_of(one, some.ids)) for one in (video, original))
        for stretch in compared(*blocks, weights=weights, rate_hz=grid.rate_hz, settings=settings):
            ids, originals = (samples.ids[_rows_of(one, samples.ids)] for one in (video, original))
            for copy, source in zip(*originals_of(ids, stretch, originals), strict=True):
                found[int(copy)] = min(int(source), found.get(int(copy), int(source)))
    ids = np.array(sorted(found), np.int64)
    return CopiesFound(ids, np.array([found[one] for one in ids.tolist()], np.int64))


def _pairs(samples: Block, weights: tuple[float, float], settings: CopySettings) -> Iterator[tuple[int, int]]:
    """(video, earlier video) that have samples so much like each other that they are to be compared."""
    k = min(settings.neighbors, len(samples) - 1)
    if len(np.unique(video_ids(samples.ids))) < 2:
        return
    lists = nearest(samples, [samples], weights=weights, k=k, rule=ACROSS_VIDEOS)
    rows, places = np.nonzero((lists.neighbor_ids >= 0) & (lists.distances <= settings.nearness))
    ends = np.sort(video_ids(np.stack([samples.ids[rows], lists.neighbor_ids[rows, places]])), axis=0)
    alike = sorted(Counter(zip(*ends[::-1].tolist(), strict=True)).items())
    for video, of_video in groupby(alike, lambda one: one[0][0]):
        # Where there are more copies than a list can name, all are named, each a few times: the earliest too.
        originals = [(count, original) for (_, original), count in of_video]
        if sum(count for count, _ in originals) < LEAST_ALIKE:
            continue
        most = sorted(originals, key=lambda one: (-one[0], one[1]))[:MOST_ORIGINALS]
        chosen = {original for count, original in most if count >= LEAST_ALIKE} | {originals[0][1]}
        yield from ((video, original) for original in sorted(chosen))


def _rows_of(video: int, ids: Int64Array) -> Int64Array:
    return np.arange(*np.searchsorted(ids, [video << VIDEO_ID_SHIFT, (video + 1) << VIDEO_ID_SHIFT]))


def _every(ids: Int64Array, frames: int) -> Int64Array:
    """Rows of the samples of every so many frames."""
    return np.flatnonzero(ids % MAX_FRAMES % frames == 0)
