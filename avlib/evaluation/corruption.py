"""Clean samples with the sound of an exact share of them replaced (Solèr et al. 2016, §4).

Sounds are replaced after the RMS filter, as descriptors; the label of a sound, and the sample it is of, go with it. The
paper replaces single frames. On the web noise comes in stretches, so stretches of some seconds or whole videos can be
replaced by stretches of other sound.

A seed decides an order of all stretches and a sound for each; a ratio takes so many from the front. So what is
replaced at one ratio is replaced by the same sound at every larger one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from avlib.arrays import Int64Array
from avlib.errors import InputError, ParameterError
from avlib.evaluation.material import LabelledSamples

Unit = Literal["frame", "segment", "video"]
ReplaceFrom = Literal["outside", "other-category"]


@dataclass(frozen=True)
class Corruption:
    """How sounds are replaced.

    unit: single frames, stretches of segment_s, or what a video has of one category.
    replace_from: sounds outside the categories, or those of clean samples of another category.
    Raises ParameterError for other words and for a segment_s not above 0.
    """

    unit: Unit = "frame"
    replace_from: ReplaceFrom = "outside"
    segment_s: float = 10.0

    def __post_init__(self) -> None:
        for name, value, known in (("unit", self.unit, Unit), ("replace_from", self.replace_from, ReplaceFrom)):
            if value not in get_args(known):
                raise ParameterError(name, value, f"one of {', '.join(get_args(known))}")
        if not self.segment_s > 0:
            raise ParameterError("segment_s", self.segment_s, "seconds, more than 0")


def corrupted(
    samples: LabelledSamples, outside: LabelledSamples, *, how: Corruption, ratio: float, seed: Sequence[int]
) -> LabelledSamples:
    """The same samples with the sounds of ⌊ratio · n + ½⌋ of them replaced; these are clean no more.

    samples: clean ones.  outside: sounds of none of their categories; in order of time they lend stretches. Where
    single frames are replaced from outside, a sound is lent again only once all have been; stretches may overlap.
    ratio: in [0, 1].  seed: of numpy's default generator.
    Raises ParameterError for another ratio, and InputError where there is no sound to replace one by.
    """
    if not 0 <= ratio <= 1:
        raise ParameterError("ratio", ratio, "0 to 1")
    random = np.random.default_rng(seed)
    stretch = _stretches(samples, how)
    rank = random.permutation(stretch.max(initial=-1) + 1)[stretch]
    order = np.lexsort((samples.ids, rank))
    chosen = order[: int(np.floor(ratio * len(samples) + 0.5))]

    descriptors = [sound.copy() for sound in (samples.audio, *samples.sounds)]
    sound_ids = samples.sound_ids.copy()
    sound, clean = samples.truth.sound.copy(), samples.truth.clean.copy()
    sound = sound.astype(np.result_type(sound, outside.truth.sound))  # room for longer words
    for takers, lenders in _exchanges(samples, outside, how):
        starts = random.permutation(lenders.ids.size)
        rows = chosen[takers[chosen]]
        if rows.size and not starts.size:
            raise InputError(
                f"no sound to replace one by from {how.replace_from!r}: "
                "label sounds of other categories, or replace from the other of outside and other-category"
            )
        lent = _lent(rank[rows], starts)
        for descriptor, theirs in zip(descriptors, (lenders.audio, *lenders.sounds), strict=True):
            descriptor[rows] = theirs[lent]
        sound_ids[rows] = lenders.sound_ids[lent]
        sound[rows], clean[rows] = lenders.truth.sound[lent], False
    audio, *sounds = descriptors
    truth = replace(samples.truth, sound=sound, clean=clean)
    return replace(samples, audio=audio, sounds=tuple(sounds), sound_ids=sound_ids, truth=truth)


def _stretches(samples: LabelledSamples, how: Corruption) -> Int64Array:
    """The stretch of every sample, numbered from 0 by (video, time), whatever the order of the samples."""
    if how.unit == "frame":
        return np.argsort(np.argsort(samples.ids))
    category = np.unique(samples.truth.picture, return_inverse=True)[1]
    segment = (samples.times_s / how.segment_s).astype(np.int64) if how.unit == "segment" else np.zeros_like(category)
    return np.unique(np.stack([samples.videos, segment, category]), axis=1, return_inverse=True)[1].reshape(-1)


def _exchanges(
    samples: LabelledSamples, outside: LabelledSamples, how: Corruption
) -> Iterator[tuple[np.ndarray, LabelledSamples]]:
    """Which samples (a mask) may take the sounds of which, in order of time."""
    if how.replace_from == "outside":
        yield np.ones(len(samples), np.bool_), outside.take(np.argsort(outside.ids))
        return
    ordered = samples.take(np.argsort(samples.ids))
    for category in np.unique(samples.truth.picture):
        yield samples.truth.picture == category, ordered.take(ordered.truth.sound != category)


def _lent(rank: Int64Array, starts: Int64Array) -> Int64Array:
    """The row of the lender for each taker.

    rank: shape (n,), of the takers' stretches, ascending.  starts: a random order of all lenders. A stretch begins at
    its own start and takes what follows there.
    """
    _, first, number = np.unique(rank, return_index=True, return_inverse=True)
    place = np.arange(len(rank)) - first[number]
    return np.asarray((starts[number % max(len(starts), 1)] + place) % max(len(starts), 1), np.int64)
