"""Stretches of one video that are copies of stretches of another.

A copy runs along with its original: its samples have there, again and again, a sample much like them, always by the
same time apart. Two recordings of the same kind of thing may have such samples too, but at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float64Array, Int64Array
from avlib.config import CopySettings
from avlib.identity import VIDEO_ID_SHIFT
from avlib.neighbors import Block, NeighborRule, nearest

_JITTER_S = 0.3  # still pictures and steady sounds are much like themselves a moment later
_ENDS_S = 1.0  # so near its ends a stretch is described by what comes before and after it too, and counts all the same
_LISTED_S = 0.8  # so often a sample names others: a stretch of two seconds has two or three
_FRAME = (1 << VIDEO_ID_SHIFT) - 1


@dataclass(frozen=True, order=True)
class CopiedStretch:
    """Frames `first` to `last` of a video are frames `first + shift` to `last + shift` of an original.

    margin: so many frames more or less.
    """

    video: int
    original: int
    first: int
    last: int
    shift: int
    margin: int


@dataclass(frozen=True)
class Grid:
    """The grid that samples lie on.  rate_hz: frames of it a second.  stride: samples lie on every so many of them."""

    rate_hz: float
    stride: int

    @classmethod
    def of(cls, ids: Int64Array, times_s: Float64Array) -> Grid:
        """By some samples. ids, times_s: shape (n,)."""
        frames = ids & _FRAME
        latest = int(np.argmax(times_s)) if len(ids) else 0
        if not len(ids) or times_s[latest] <= 0:
            return cls(1.0, 1)  # all samples are at the beginning of their videos: no stretch lasts
        return cls(float(frames[latest] / times_s[latest]), max(1, int(np.gcd.reduce(frames))))

    def every(self, *, samples_hz: float) -> int:
        """Every how many frames there is a sample where no more than about so many a second are wanted."""
        return self.stride * max(1, round(self.rate_hz / self.stride / samples_hz))

    def listed(self, *, step: int) -> int:
        """Every how many frames a sample names others, where one in `step` frames is compared."""
        return step * max(1, round(_LISTED_S * self.rate_hz / step))


def compared(
    video: Block, original: Block, *, weights: tuple[float, float], rate_hz: float, settings: CopySettings
) -> list[CopiedStretch]:
    """The stretches of one video that are copies of another's, sample by sample.

    video, original: samples of one video each, in ascending order of id.  weights: as `search_weights` gives them.
    """
    lists = nearest(video, [original], weights=weights, k=1, rule=NeighborRule())
    like = np.where(lists.distances <= settings.nearness, lists.neighbor_ids, -1)[:, 0]
    return copied_stretches(video.ids, like, rate_hz=rate_hz, settings=settings)


def copied_stretches(
    ids: Int64Array, like: Int64Array, *, rate_hz: float, settings: CopySettings
) -> list[CopiedStretch]:
    """The stretches of a video in which samples are in step with another video, the strongest first.

    They last settings.stretch_s at least, and samples in step outnumber the others by settings.samples; a second is
    added at either end.
    ids: shape (n,), of one video, ascending.  like: shape (n,), the sample of the other that is most like it, or -1.
    """
    rows = np.flatnonzero(like >= 0)
    if len(rows) < settings.samples:
        return []
    frames, shifts = ids & _FRAME, (like[rows] & _FRAME) - (ids[rows] & _FRAME)
    margin = max(round(_JITTER_S * rate_hz), int(np.diff(frames).min()))
    ends = round(_ENDS_S * rate_hz)
    pair = int(ids[0] >> VIDEO_ID_SHIFT), int(like[rows[0]] >> VIDEO_ID_SHIFT)
    return [
        CopiedStretch(*pair, max(0, first - ends), last + ends, shift, margin)
        for first, last, shift in _runs(frames, rows, shifts, margin=margin, least=settings.samples)
        if last - first >= settings.stretch_s * rate_hz
    ]


def originals_of(ids: Int64Array, stretch: CopiedStretch, original_ids: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The samples in a stretch that have an original within its margin, and the nearest in time of these.

    ids, original_ids: of the two videos, ascending. Of two equally near the earlier.
    """
    start = (stretch.video << VIDEO_ID_SHIFT) + stretch.first
    inside = ids[slice(*np.searchsorted(ids, [start, start + stretch.last - stretch.first + 1]))]
    if not len(original_ids):
        return inside[:0], inside[:0]
    wanted = (inside & _FRAME) + stretch.shift + (stretch.original << VIDEO_ID_SHIFT)
    after = np.minimum(np.searchsorted(original_ids, wanted), len(original_ids) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(original_ids[after] - wanted) < np.abs(original_ids[before] - wanted)
    found = original_ids[np.where(nearer, after, before)]
    there = np.abs(found - wanted) <= stretch.margin
    return inside[there], found[there]


def _runs(
    frames: Int64Array, rows: Int64Array, shifts: Int64Array, *, margin: int, least: int
) -> Iterator[tuple[int, int, int]]:
    """(first frame, last frame, shift) of the runs of samples in step.

    rows, shifts: shape (m,), which samples have one like them, and how many frames later that is.
    """
    left = np.ones(len(rows), bool)
    while left.sum() >= least:
        shift = _commonest(shifts[left], margin)
        in_step = left & (np.abs(shifts - shift) <= margin)
        worth = np.full(len(frames), -1)
        worth[rows[in_step]] = 1
        start, stop, total = _best_run(worth)
        if in_step.sum() < least:
            return  # of all that are left, these are the most that are in step
        if total < least:
            left &= ~in_step
            continue
        inside = in_step & (start <= rows) & (rows < stop)
        yield int(frames[start]), int(frames[stop - 1]), int(np.median(shifts[inside]))
        left &= ~inside


def _commonest(shifts: Int64Array, margin: int) -> int:
    """The shift that most of them are within the margin of; of several the smallest."""
    ordered = np.sort(shifts)
    counts = np.searchsorted(ordered, ordered + margin, "right") - np.searchsorted(ordered, ordered - margin, "left")
    return int(ordered[np.argmax(counts)])


def _best_run(worth: Int64Array) -> tuple[int, int, int]:
    """(start, stop, sum) of the run of largest sum (Kadane): of several the one that ends first, and of these the
    shortest.  worth: shape (n,), n ≥ 1.
    """
    sums = np.concatenate([[0], np.cumsum(worth)])
    lowest = np.minimum.accumulate(sums[:-1])
    gains = sums[1:] - lowest
    stop = int(np.argmax(gains)) + 1
    start = int(np.flatnonzero(sums[:stop] == lowest[stop - 1])[-1])
    return start, stop, int(gains[stop - 1])
