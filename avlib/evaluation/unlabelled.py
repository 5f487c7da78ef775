"""What can be said of a filter without labels: how much it keeps, how stable that is, how much of it the sound decides.

Stability: the filter runs on pairs of random halves of the videos; the samples that both halves have are kept by both
runs or by neither more often than two blind filters of the same shares would agree (Cohen's kappa: 1 always, 0 like
blind ones). Shuffled sound: the sounds are dealt to the samples at random, so that no picture goes with its own. What
is kept even then is not kept because picture and sound belong together. The converse does not hold: dealing also
breaks up the stretches of one sound that a shot has, whether it belongs to the picture or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avlib.agreement import Described, agreement_in_memory
from avlib.arrays import BoolArray, Float32Array, Int64Array
from avlib.errors import ParameterError
from avlib.evaluation.protocol import Strategy
from avlib.filtering import SampleArrays, StepResult, filter_in_memory
from avlib.identity import video_ids
from avlib.neighbors import NeighborRule

FEWEST_VIDEOS = 4
"""For halves of them to be of two at least."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Samples as the filter takes them, and sounds: as `Described` has them; none where agreement is not asked."""

    samples: SampleArrays
    sounds: tuple[Float32Array, ...]

    def take(self, rows: Int64Array) -> Observed:
        """The samples in these rows."""
        return Observed(self.samples.take(rows), tuple(sound[rows] for sound in self.sounds))

    def with_sounds_of(self, rows: Int64Array) -> Observed:
        """Each sample with the sound of the one in this row. Shape (n,)."""
        samples = replace(self.samples, audio=self.samples.audio[rows])
        return Observed(samples, tuple(sound[rows] for sound in self.sounds))

    def described(self) -> Described:
        """As agreement takes them."""
        return Described(self.samples.ids, self.samples.times_s, self.samples.visual, self.sounds)


@dataclass(frozen=True)
class Component:
    """A component that was kept: its smallest sample id, its samples, the videos they are from."""

    component_id: int
    samples: int
    videos: int


@dataclass(frozen=True)
class Trial:
    """What one seed says.  agreement, kappa: of two runs on halves of the videos, about the `shared` samples that both
    have; NaN where there are none, or both keep all or nothing.  shuffled_share: kept with shuffled sound.
    """

    shared: int
    agreement: float
    kappa: float
    shuffled_share: float


def kept_components(observed: Observed, *, strategy: Strategy, rule: NeighborRule) -> list[Component]:
    """The components that the last step of a strategy keeps, largest first. Raises as `filter_in_memory` does."""
    last = _filtered(observed, strategy, rule)
    found, where, sizes = np.unique(last.component_ids, return_inverse=True, return_counts=True)
    seen_in = np.unique(np.stack([where, video_ids(last.sample_ids)]), axis=1)[0]
    videos = np.bincount(seen_in, minlength=len(found))
    order = np.lexsort((found, -sizes))
    return [Component(int(found[row]), int(sizes[row]), int(videos[row])) for row in order]


def trial(observed: Observed, *, strategy: Strategy, rule: NeighborRule, seed: int) -> Trial:
    """Run a strategy on two halves of the videos, and on shuffled sound.

    Raises ParameterError for fewer than four videos, and as `filter_in_memory` does.
    """
    of_video = video_ids(observed.samples.ids)
    videos = np.unique(of_video)
    if len(videos) < FEWEST_VIDEOS:
        raise ParameterError("videos", len(videos), f"{FEWEST_VIDEOS} at least, for halves of them")
    random = np.random.default_rng(seed)
    masks = [np.isin(of_video, random.permutation(videos)[: len(videos) // 2]) for _ in range(2)]
    kept = [np.zeros(len(of_video), np.bool_) for _ in range(2)]
    for mask, decision in zip(masks, kept, strict=True):
        decision[mask] = _kept(observed.take(np.flatnonzero(mask)), strategy, rule)
    shared = masks[0] & masks[1]
    one, other = kept[0][shared], kept[1][shared]
    mixed = observed.with_sounds_of(random.permutation(len(of_video)))
    return Trial(
        shared=int(shared.sum()),
        agreement=float((one == other).mean()) if shared.any() else float("nan"),
        kappa=kappa(one, other),
        shuffled_share=float(_kept(mixed, strategy, rule).mean()),
    )


def kappa(one: BoolArray, other: BoolArray) -> float:
    """Cohen's kappa of two decisions: their agreement above that of chance. NaN where chance agrees on everything.

    one, other: shape (n,).
    """
    if not len(one):
        return float("nan")
    chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float(((one == other).mean() - chance) / (1 - chance)) if chance < 1 else float("nan")


def _kept(observed: Observed, strategy: Strategy, rule: NeighborRule) -> BoolArray:
    return np.isin(observed.samples.ids, _filtered(observed, strategy, rule).sample_ids)


def _filtered(observed: Observed, strategy: Strategy, rule: NeighborRule) -> StepResult:
    among = None if strategy.agreement is None else agreement_in_memory(observed.described(), strategy.agreement).kept
    return filter_in_memory(observed.samples, steps=strategy.steps, rule=rule, among=among)[-1]
