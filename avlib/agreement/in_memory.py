"""The scores of a collection that fits into memory. The Spark stage is its twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.agreement.accident import mixed
from avlib.agreement.drawing import drawn, drawn_pieces
from avlib.agreement.evidence import (
    NOBODY,
    PIECE_BITS,
    Companions,
    Views,
    Weights,
    agreement,
    equal_weights,
    evidence,
    supporters,
    weight,
)
from avlib.agreement.projection import Described, fit_shortening
from avlib.agreement.stretches import stretch_scores
from avlib.agreement.threshold import Histogram, threshold_doubting, threshold_keeping
from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.config import AgreementSettings
from avlib.errors import ParameterError
from avlib.identity import video_ids
from avlib.neighbors import Block, NeighborRule, nearest, runs

ACROSS_VIDEOS = NeighborRule(exclude="same_video", per_video=1)
"""The nearest sample of each other video."""

SUPPORTERS = 3
"""Samples that are named as the reason for a score."""


@dataclass(frozen=True, eq=False)
class Scored:
    """scores: shape (n,), in nats, 0 for agreement as by chance.  threshold: from which on a sample is kept.

    videos, supporters: see `avlib.agreement.supporters`.
    """

    scores: Float64Array
    threshold: float
    videos: Int64Array
    supporters: Int64Array

    @property
    def kept(self) -> BoolArray:
        """Which samples agree. Shape (n,)."""
        return self.scores >= self.threshold


def agreement_in_memory(samples: Described, settings: AgreementSettings) -> Scored:
    """Score samples. Raises ParameterError where all are of one video, or they do not come in ascending order of id."""
    if (np.diff(samples.ids) < 0).any():
        raise ParameterError("samples", "in another order", "samples in ascending order of id")
    videos = len(np.unique(video_ids(samples.ids)))
    check_videos(videos)
    fitted = samples.take(drawn(samples.ids, settings.fitted, seed=settings.seed))
    views = fit_shortening(fitted, settings)(samples)
    references = views.take(drawn(views.ids, settings.references, seed=settings.seed))
    companions = _companions(views, asked(settings, videos=videos))
    found = evidence(views, companions, references)
    first = slice_scores(views, agreement(found, companions, equal_weights(companions)), found.radius, settings)
    weights = (
        weight(_scores_of(companions.seen_ids, views.ids, first)),
        weight(_scores_of(companions.heard_ids, views.ids, first)),
    )
    scores = slice_scores(views, agreement(found, companions, weights), found.radius, settings)
    reasons = supporters(found, companions, weights, most=SUPPORTERS)
    histogram = Histogram.of(scores)
    if settings.keep:
        return Scored(scores, threshold_keeping(histogram, keep=settings.keep), *reasons)
    pieces = views.ids >> PIECE_BITS
    some = np.flatnonzero(np.isin(pieces, drawn_pieces(*np.unique(pieces, return_counts=True), seed=settings.seed)))
    accidental = accidental_scores(
        views.take(some), companions.take(some), (weights[0][some], weights[1][some]), references, settings
    )
    return Scored(scores, threshold_doubting(histogram, accidental, doubt=settings.doubt), *reasons)


def slice_scores(
    samples: Views, values: Float64Array, radius: Float64Array, settings: AgreementSettings
) -> Float64Array:
    """`stretch_scores` in every slice. samples: in ascending order of id.  values, radius: shape (n,)."""
    scores = np.empty(len(samples))
    for start, stop in runs(samples.slices):
        rows = slice(start, stop)
        scores[rows] = stretch_scores(
            values[rows],
            times_s=samples.times_s[rows],
            audio=samples.audio[rows],
            radius=radius[rows],
            span_s=settings.stretch_s,
        )
    return scores


def accidental_scores(
    samples: Views, companions: Companions, weights: Weights, references: Views, settings: AgreementSettings
) -> Float64Array:
    """The scores of samples with other videos' sounds. Arguments as in `mixed`. Shape (m,), m ≤ n."""
    other = mixed(samples, companions, weights, seed=settings.seed)
    found = evidence(other.samples, other.companions, references, sound_videos=other.sound_videos)
    return slice_scores(other.samples, agreement(found, other.companions, other.weights), found.radius, settings)


def check_videos(videos: int) -> None:
    """Raise ParameterError for fewer than two videos."""
    if videos < 2:
        raise ParameterError("videos", videos, "two at least: agreement is what other videos say; or take V+A")


def asked(settings: AgreementSettings, *, videos: int) -> int:
    """How many other videos a sample asks: of few videos no more than a quarter, as most show something else."""
    return min(settings.neighbors, max(1, videos // 4))


def _companions(samples: Views, count: int) -> Companions:
    block = Block(samples.ids, samples.visual, samples.audio, samples.times_s)

    def across(weights: tuple[float, float], rows: Float32Array) -> tuple[Int64Array, Float32Array]:
        ids = nearest(block, [block], weights=weights, k=count, rule=ACROSS_VIDEOS).neighbor_ids
        at = np.minimum(np.searchsorted(samples.ids, ids), len(samples) - 1)
        return ids, np.where((ids == NOBODY)[:, :, None], np.float32(0), rows[at])

    return Companions(*across((1.0, 0.0), samples.audio), *across((0.0, 1.0), samples.visual))


def _scores_of(theirs: Int64Array, ids: Int64Array, scores: Float64Array) -> Float64Array:
    """The scores of samples by id; NaN of nobody. Shape as theirs'."""
    at = np.minimum(np.searchsorted(ids, theirs), len(ids) - 1)
    return np.where(theirs == NOBODY, np.nan, scores[at])
