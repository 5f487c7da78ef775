"""What scores look like by accident: every slice of a video gets the sounds of another video."""

from __future__ import annotations

import numpy as np

from avlib.agreement.evidence import NOBODY, Companions, Views, Weights
from avlib.arrays import Int64Array
from avlib.identity import video_ids


def mixed(samples: Views, companions: Companions, weights: Weights, *, seed: int) -> tuple[Views, Companions, Weights]:
    """Pictures with the sounds, and with all that goes by the sounds, of other videos, in the order of time.

    samples: in ascending order of id, of two videos at least.  weights: as in `agreement`.
    A companion out of either of a sample's two videos is nobody: it would know its own. Where one video has more than
    half of the slices, some of them get sounds of its own.
    """
    rows = _partners(samples, seed=seed)
    theirs = companions.take(rows)
    own, other = samples.videos[:, None], samples.videos[rows][:, None]

    def strangers(ids: Int64Array) -> Int64Array:
        return np.where((video_ids(ids) == own) | (video_ids(ids) == other), NOBODY, ids)

    return (
        Views(samples.ids, samples.times_s, samples.visual, samples.audio[rows]),
        Companions(
            strangers(companions.seen_ids), companions.seen_audio, strangers(theirs.heard_ids), theirs.heard_visual
        ),
        (weights[0], weights[1][rows]),
    )


def _partners(samples: Views, *, seed: int) -> Int64Array:
    """For every sample a row of another slice, at about the same part of it."""
    _, first, of, counts = np.unique(samples.slices, return_index=True, return_inverse=True, return_counts=True)
    videos, video, slices_of = np.unique(samples.videos[first], return_inverse=True, return_counts=True)
    # Slices of one video follow each other; rolled by as many as one has at most, each meets one of another video.
    order = np.argsort(np.random.default_rng(seed).permutation(len(videos))[video], kind="stable")
    partner = np.empty_like(order)
    partner[order] = np.roll(order, int(slices_of.max()))
    theirs = partner[of]
    place = (np.arange(len(of)) - first[of]) / counts[of]
    return np.asarray(first[theirs] + (place * counts[theirs]).astype(np.int64), np.int64)
