"""What scores look like by accident: pictures with the sounds of other videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.agreement.evidence import NOBODY, PIECE_BITS, Companions, Views, Weights
from avlib.arrays import Int64Array
from avlib.identity import video_ids


@dataclass(frozen=True, eq=False)
class Mixed:
    """Samples with other videos' sounds.  sound_videos: shape (n,), the videos these are of."""

    samples: Views
    companions: Companions
    weights: Weights
    sound_videos: Int64Array


def mixed(samples: Views, companions: Companions, weights: Weights, *, seed: int) -> Mixed:
    """Pictures with the sounds, and with all that goes by the sounds, of other videos, piece by piece, in time.

    samples: in ascending order of id.  weights: as in `agreement`.
    A companion out of either of a sample's two videos is nobody: it would know its own. Samples that would get sounds
    of their own video, as where most are of one, are left out.
    """
    partners = _partners(samples, seed=seed)
    rows = np.flatnonzero(samples.videos[partners] != samples.videos)
    pictures, sounds = samples.take(rows), samples.take(partners[rows])
    seen, heard = companions.take(rows), companions.take(partners[rows])
    own, other = pictures.videos[:, None], sounds.videos[:, None]

    def strangers(ids: Int64Array) -> Int64Array:
        return np.where((video_ids(ids) == own) | (video_ids(ids) == other), NOBODY, ids)

    return Mixed(
        Views(pictures.ids, pictures.times_s, pictures.visual, sounds.audio),
        Companions(strangers(seen.seen_ids), seen.seen_audio, strangers(heard.heard_ids), heard.heard_visual),
        (weights[0][rows], weights[1][partners[rows]]),
        sounds.videos,
    )


def _partners(samples: Views, *, seed: int) -> Int64Array:
    """For every sample a row of another piece, at about the same part of it."""
    pieces = samples.ids >> PIECE_BITS
    _, first, of, counts = np.unique(pieces, return_index=True, return_inverse=True, return_counts=True)
    videos, video, pieces_of = np.unique(samples.videos[first], return_inverse=True, return_counts=True)
    # Pieces of one video follow each other; rolled by as many as one has at most, each meets one of another video.
    order = np.argsort(np.random.default_rng(seed).permutation(len(videos))[video], kind="stable")
    partner = np.empty_like(order)
    partner[order] = np.roll(order, int(pieces_of.max()))
    theirs = partner[of]
    place = (np.arange(len(of)) - first[of]) / counts[of]
    return np.asarray(first[theirs] + (place * counts[theirs]).astype(np.int64), np.int64)
