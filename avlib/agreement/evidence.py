"""How well the sound of a sample goes with its picture, judged by other videos (beyond Solèr et al. 2016).

Look for the samples of other videos that look most alike, one of each video, and listen: are their sounds nearer to
this sample's than sounds are in general? And look at the samples that sound most alike. "In general" is what random
samples, the references, show: a distance within which a share p of the references lie is worth -ln p - 1, which is 0
on average where picture and sound have nothing to do with each other, however many videos there are. So speech, whose
like is heard with every picture, is worth nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.identity import video_ids

NOBODY = -1
"""The id of a neighbor that is not there: lists may be short."""

PIECE_BITS = 8
"""What accident looks like is seen on pieces of 2^8 frames, 10 s at 25 a second, of as many videos as can be."""

SLICE_BITS = 12
"""Long videos are scored in slices of 2^12 frames, 164 s at 25 a second, so that one fits into memory."""

Weights = tuple[Float64Array, Float64Array]
"""Of the companions that look, and of those that sound alike: each of shape (n, m), more than 0."""

_LEAST_WEIGHT = 0.1
_NEAR = 0.1  # the share of all sounds that lie within Evidence.radius
_DECIMALS = 6  # of a distance: a companion may be a reference too, and is then as far away as itself
_ROWS = 512  # whose distances to all references are held at a time


@dataclass(frozen=True, eq=False)
class Views:
    """n samples, made short for comparison.

    ids: shape (n,).  times_s: shape (n,).  visual, audio: shapes (n, d_V), (n, d_A), float32, of length 1 at most.
    """

    ids: Int64Array
    times_s: Float64Array
    visual: Float32Array
    audio: Float32Array

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int64Array) -> Views:
        """The samples in these rows."""
        return Views(self.ids[rows], self.times_s[rows], self.visual[rows], self.audio[rows])

    @property
    def videos(self) -> Int64Array:
        """The video of each sample. Shape (n,)."""
        return video_ids(self.ids)

    @property
    def slices(self) -> Int64Array:
        """The slice of its video that a sample lies in, by one number for both. Shape (n,)."""
        return self.ids >> SLICE_BITS


@dataclass(frozen=True, eq=False)
class Companions:
    """The nearest samples of other videos, one of each, and what they are judged by.

    seen_ids: shape (n, m), those that look alike, NOBODY where a list is short.  seen_audio: shape (n, m, d_A).
    heard_ids: shape (n, m), those that sound alike.  heard_visual: shape (n, m, d_V).
    """

    seen_ids: Int64Array
    seen_audio: Float32Array
    heard_ids: Int64Array
    heard_visual: Float32Array

    def take(self, rows: Int64Array) -> Companions:
        """Those of the samples in these rows."""
        return Companions(self.seen_ids[rows], self.seen_audio[rows], self.heard_ids[rows], self.heard_visual[rows])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the companions of n samples say.

    seen: shape (n, m), what the sounds of those that look alike are worth.  heard: shape (n, m), what the pictures of
    those that sound alike are worth. 0 where nobody is there.
    radius: shape (n,), the distance within which a tenth of all sounds lie.
    """

    seen: Float64Array
    heard: Float64Array
    radius: Float64Array


def evidence(
    samples: Views, companions: Companions, references: Views, *, sound_videos: Int64Array | None = None
) -> Evidence:
    """Compare samples with their companions. References of a sample's own video do not count.

    sound_videos: shape (n,), where the sounds are of other videos; the references of these do not count either.
    """
    parts = []
    for start in range(0, len(samples), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(samples)))
        own, theirs = samples.take(rows), companions.take(rows)
        foreign = own.videos[:, None] != references.videos
        if sound_videos is not None:
            foreign &= sound_videos[rows, None] != references.videos
        sounds = _background(own.audio, references.audio, foreign)
        pictures = _background(own.visual, references.visual, foreign)
        counts = foreign.sum(axis=1)
        seen = np.where(theirs.seen_ids == NOBODY, 0.0, _worth(own.audio, theirs.seen_audio, sounds, counts))
        heard = np.where(theirs.heard_ids == NOBODY, 0.0, _worth(own.visual, theirs.heard_visual, pictures, counts))
        nearest = np.minimum((_NEAR * counts).astype(np.int64), len(references) - 1)
        parts.append(Evidence(seen, heard, sounds[np.arange(len(rows)), nearest]))
    if not parts:
        width = companions.seen_ids.shape[1]
        return Evidence(np.zeros((0, width)), np.zeros((0, width)), np.zeros(0))
    return Evidence(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("seen", "heard", "radius")))


def agreement(found: Evidence, companions: Companions, weights: Weights) -> Float64Array:
    """The weighted mean worth of each kind of companions, half of it each. Shape (n,); a kind of nobody is worth 0."""
    total = np.zeros(len(found.radius))
    kinds = (found.seen, companions.seen_ids), (found.heard, companions.heard_ids)
    for (worth, ids), given in zip(kinds, weights, strict=True):
        counts = np.where(ids == NOBODY, 0.0, given)
        total += (worth * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), _LEAST_WEIGHT)
    return total / 2


def equal_weights(companions: Companions) -> Weights:
    """All companions count alike."""
    return np.ones(companions.seen_ids.shape), np.ones(companions.heard_ids.shape)


def weight(scores: Float64Array) -> Float64Array:
    """How much companions count, by their own scores: the sound of one that does not agree is not its picture's.

    scores: any shape, NaN for nobody.
    """
    return np.fmax(scores, _LEAST_WEIGHT)


def _background(own: Float32Array, references: Float32Array, foreign: BoolArray) -> Float64Array:
    """Distances to the references, each row ascending; infinite at its end for those that do not count."""
    one, other = own.astype(np.float64), references.astype(np.float64)
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * (one @ other.T)
    distances = np.round(np.sqrt(np.maximum(squares, 0)), _DECIMALS)
    return np.sort(np.where(foreign, distances, np.inf), axis=1)


def _worth(own: Float32Array, theirs: Float32Array, background: Float64Array, counts: Int64Array) -> Float64Array:
    """-ln p - 1 of the distances to companions, p being the share of the background below.

    own: shape (n, d).  theirs: shape (n, m, d).  background: shape (n, r), ascending, `counts` of a row finite.
    """
    distances = np.round(np.linalg.norm(theirs.astype(np.float64) - own[:, None], axis=2), _DECIMALS)[:, :, None]
    known = background[:, None, :]
    # Of equally far ones half: where all pictures are black, none is nearer than another.
    below = (known < distances).sum(axis=2) + (known == distances).sum(axis=2) / 2
    worth = -np.log((below + 0.5) / (counts[:, None] + 1)) - 1
    return np.where(counts[:, None] == 0, 0.0, worth)


def supporters(
    found: Evidence, companions: Companions, weights: Weights, *, most: int
) -> tuple[Int64Array, Int64Array]:
    """Why a sample scores as it does.

    Returns (videos, ids): how many other videos bear it out, those with a companion whose sound or picture is among
    the nearest tenth, shape (n,); and the companions of these that count most, shape (n, most), NOBODY where there are
    fewer.
    """
    enough = -np.log(_NEAR) - 1
    same = companions.heard_ids[:, :, None] == companions.seen_ids[:, None, :]
    again = (same & (found.seen > enough)[:, None, :]).any(axis=2)  # counts as one that looks alike
    ids = np.concatenate([companions.seen_ids, np.where(again, NOBODY, companions.heard_ids)], axis=1)
    worth = np.concatenate([found.seen, found.heard], axis=1)
    bears_out = (ids != NOBODY) & (worth > enough)
    ids = np.where(bears_out, ids, NOBODY)
    counts = np.where(bears_out, worth * np.concatenate(weights, axis=1), -np.inf)
    order = np.lexsort((ids, -counts), axis=1)[:, :most]
    videos = np.sort(np.where(bears_out, video_ids(ids), NOBODY), axis=1)
    new = np.diff(videos, axis=1, prepend=NOBODY) != 0
    return new.sum(axis=1), np.take_along_axis(ids, order, axis=1)
