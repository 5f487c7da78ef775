"""The paper's protocol (Solèr et al. 2016, §4): corrupt the training part, filter it, suggest sounds for the rest.

Videos are dealt to folds once. In turn each fold is the test part and the others are the training part, in which an
exact share of the sounds is replaced by sounds of its own videos. A strategy filters the training part; then every
clean sample of the test part is a query picture: the `answers` nearest pictures of the filtered collection vote with
the categories of their sounds, as they are after replacement. All sounds outside the categories vote alike, for none
of them. Of t categories with most votes each counts 1 / t, which is what a tie decided at random gives on average.

k and the minimum size of a strategy are chosen by a cross-validation inside the training part, by the same rate: once
for every ratio, strategy and fold, under the first seed. So no test video has a say in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from avlib.agreement import Scored, agreement_in_memory
from avlib.arrays import BoolArray, Float64Array, Int64Array
from avlib.config import AgreementSettings
from avlib.errors import InputError, ParameterError
from avlib.evaluation.corruption import Corruption, corrupted
from avlib.evaluation.folds import video_folds
from avlib.evaluation.material import LabelledSamples, Material
from avlib.evaluation.scores import Decision, Scores, classification_rate, scores_of
from avlib.filtering import Step, filter_in_memory
from avlib.neighbors import NeighborRule

UNFILTERED = "unfiltered"
RANDOM = "random"

# Kinds of chance, so that no two draws share a stream of random numbers.
_SPLIT, _INNER_SPLIT, _SIZE, _CORRUPTION, _RANDOM, _OUTSIDE_SPLIT, QUERIES = range(7)


@dataclass(frozen=True)
class Parameters:
    """k and the minimum size of components, of every step of a strategy."""

    k: int
    min_size: int


@dataclass(frozen=True)
class Point:
    """ratio: share of the sounds that are replaced.  share: of the training samples that are used.  fold: the test."""

    ratio: float
    share: float
    seed: int
    fold: int


@dataclass(frozen=True)
class Outcome:
    """How one strategy did at one point.  parameters: None where there were none to choose."""

    point: Point
    strategy: str
    parameters: Parameters | None
    scores: Scores


@dataclass(frozen=True)
class Strategy:
    """A way to filter.  steps: none for `unfiltered`, which keeps all, and `random`.

    agreement: how samples are scored first, for a strategy that begins with those that agree.
    """

    name: str
    steps: tuple[Step, ...] = ()
    agreement: AgreementSettings | None = None

    def with_parameters(self, chosen: Parameters | None) -> tuple[Step, ...]:
        """The steps with k and the minimum size that were chosen; None leaves them as they are configured."""
        if chosen is None:
            return self.steps
        return tuple(step.model_copy(update={"k": chosen.k, "min_size": chosen.min_size}) for step in self.steps)


@dataclass(frozen=True)
class Protocol:
    """What is the same at all points of an experiment.

    strategies: `random` keeps as many samples as the first of them that has steps.  grid: what to choose parameters
    from; empty for strategies as they are configured.  answers: nearest pictures that vote.
    """

    strategies: tuple[Strategy, ...]
    rule: NeighborRule
    corruption: Corruption
    grid: tuple[Parameters, ...]
    seeds: tuple[int, ...] = (0,)
    folds: int = 5
    inner_folds: int = 3
    answers: int = 5

    @property
    def reference(self) -> Strategy | None:
        """The strategy whose size `random` has."""
        return next((strategy for strategy in self.strategies if strategy.steps), None)

    def check(self) -> None:
        """Raise ParameterError for a protocol that cannot be run."""
        names = [strategy.name for strategy in self.strategies]
        if not names or len(set(names)) < len(names):
            raise ParameterError("strategies", names, "one at least, each once")
        if RANDOM in names and self.reference is None:
            raise ParameterError("strategies", names, f"a strategy that filters, for {RANDOM} to keep as many as it")
        if not self.seeds:
            raise ParameterError("seeds", self.seeds, "one at least")


def check_lenders(material: Material, protocol: Protocol) -> None:
    """Raise InputError where some training part has no sound outside the categories to replace one by."""
    fold = _folds(material, protocol)[1]
    if protocol.corruption.replace_from == "outside" and len(np.unique(fold)) < 2:
        raise InputError(
            f"sounds outside the categories are of one fold's videos or none, {len(fold)} in all, so that where those "
            "are the test part none can be lent: label such sounds in more videos, or replace from other-category"
        )


def choose(material: Material, protocol: Protocol, *, strategy: Strategy, point: Point) -> Parameters | None:
    """The point of the grid with the best classification rate inside the training part, the first of equal ones.

    None where there is nothing to choose. Raises ParameterError where every k of the grid is too large.
    """
    if not strategy.steps or not protocol.grid:
        return None
    training, _ = parts(material, protocol, point)
    categories = material.categories
    seed = [point.seed, point.fold, _INNER_SPLIT]
    inner = video_folds(training.videos, training.truth.picture, folds=protocol.inner_folds, seed=seed)
    smallest = len(training) - int(np.bincount(inner).max())
    fitting = [parameters for parameters in protocol.grid if parameters.k < smallest]
    if not fitting:
        ks = sorted({parameters.k for parameters in protocol.grid})
        raise ParameterError("evaluate.k", ks, f"one below the {smallest} samples of a training part")

    rates = np.zeros(len(fitting))
    for held_out in range(protocol.inner_folds):
        fit, queries = training.take(inner != held_out), training.take(inner == held_out)
        scored = score(fit, strategy)
        for place, parameters in enumerate(fitting):
            kept = keep(fit, strategy.with_parameters(parameters), protocol.rule, scored)
            rates[place] += classification_rate(fit.take(kept), queries, categories=categories, m=protocol.answers)
    return fitting[int(np.argmax(rates))]


def measure(
    material: Material, protocol: Protocol, *, point: Point, chosen: Mapping[str, Parameters | None]
) -> Iterator[Outcome]:
    """What each strategy makes of one training part, in the order of the strategies.

    chosen: by the names of the strategies, from `choose` for the first seed.
    """
    training, test = parts(material, protocol, point)
    masks: dict[str, BoolArray] = {UNFILTERED: np.ones(len(training), np.bool_)}
    scores: dict[str, Float64Array] = {}
    for strategy in protocol.strategies:
        if strategy.steps:
            scored = score(training, strategy)
            steps = strategy.with_parameters(chosen[strategy.name])
            masks[strategy.name] = keep(training, steps, protocol.rule, scored)
            if scored is not None:
                scores[strategy.name] = scored.scores
    if protocol.reference is not None:
        size = int(masks[protocol.reference.name].sum())
        order = np.random.default_rng([point.seed, point.fold, _RANDOM]).permutation(len(training))
        masks[RANDOM] = np.argsort(order) < size
    for strategy in protocol.strategies:
        kept = masks[strategy.name]
        decision = Decision(kept, scores.get(strategy.name))
        measured = scores_of(training, decision, test, categories=material.categories, m=protocol.answers)
        yield Outcome(point, strategy.name, chosen.get(strategy.name), measured)


def parts(material: Material, protocol: Protocol, point: Point) -> tuple[LabelledSamples, LabelledSamples]:
    """The training part, corrupted, and the test part, which is not. No video is in both, nor lends sound to both.

    Raises InputError where no video of the training part has a sound to replace one by.
    """
    fold, fold_outside = _folds(material, protocol)
    training = material.clean.take(fold != point.fold)
    if point.share < 1:
        order = np.random.default_rng([point.seed, point.fold, _SIZE]).permutation(len(training))
        training = training.take(np.sort(order[: int(np.floor(point.share * len(training) + 0.5))]))
    outside = material.outside.take(fold_outside != point.fold)
    seed = [point.seed, point.fold, _CORRUPTION]
    training = corrupted(training, outside, how=protocol.corruption, ratio=point.ratio, seed=seed)
    return training, material.clean.take(fold == point.fold)


def _folds(material: Material, protocol: Protocol) -> tuple[Int64Array, Int64Array]:
    """The fold of every clean sample and of every sound outside, which for videos that are never clean is drawn."""
    clean, outside, first_seed = material.clean, material.outside, protocol.seeds[0]
    fold = video_folds(clean.videos, clean.truth.picture, folds=protocol.folds, seed=[first_seed, _SPLIT])
    videos, first = np.unique(clean.videos, return_index=True)
    never_clean = np.setdiff1d(outside.videos, videos)
    drawn = np.random.default_rng([first_seed, _OUTSIDE_SPLIT]).permutation(len(never_clean)) % protocol.folds
    of_video = dict(zip([*videos.tolist(), *never_clean.tolist()], [*fold[first], *drawn], strict=True))
    return fold, np.array([of_video[video] for video in outside.videos.tolist()], np.int64)


def score(samples: LabelledSamples, strategy: Strategy) -> Scored | None:
    """What agreement says of samples; None for a strategy that does not ask. Raises ParameterError as it does."""
    return None if strategy.agreement is None else agreement_in_memory(samples.described(), strategy.agreement)


def keep(
    samples: LabelledSamples, steps: tuple[Step, ...], rule: NeighborRule, scored: Scored | None = None
) -> BoolArray:
    """Which samples a filter keeps, of those that agree where they are scored. Shape (n,).

    Raises ParameterError as `filter_in_memory` does.
    """
    among = None if scored is None else scored.kept
    results = filter_in_memory(samples.normalised(), steps=steps, rule=rule, among=among)
    return np.isin(samples.ids, results[-1].sample_ids)
