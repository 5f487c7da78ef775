"""All that is measured of one filtered training part: how clean it is, and what it suggests for a test part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array
from avlib.descriptors import normalise_audio
from avlib.evaluation.detection import Detection, by_category, category_shift, detection
from avlib.evaluation.labels import StrArray, Truth
from avlib.evaluation.material import LabelledSamples
from avlib.evaluation.ranking import RankingScores, chance_scores, retrieval_scores
from avlib.evaluation.retrieval import retrieval_rates

_NO_CATEGORY = "(no category)"


@dataclass(frozen=True)
class Retrieval:
    """How test queries rank what was kept.  found: as it is.  chance: in random order, exactly.

    Where nothing was kept nothing is found, 0, and chance is NaN: there is no order to draw.
    """

    found: RankingScores
    chance: RankingScores


@dataclass(frozen=True, eq=False)
class Decision:
    """What a filter says of n samples.  kept: shape (n,).  score: shape (n,), larger for what looks cleaner."""

    kept: BoolArray
    score: Float64Array | None = None


@dataclass(frozen=True)
class Scores:
    """How a filter did on one training part. Shares are in [0, 1], NaN where they are of nothing.

    samples: in the training part; corrupted, kept: of them.  queries: in the test part.
    classification_rate: see `classification_rate`.  categories: those with a clean sample among the kept.
    category_shift: see there.  detection: of clean samples; its precision is the share of clean ones among the kept.
    by_category: the same among samples whose picture has the category.  sounds: ranked for a query picture, pictures:
    ranked for a query sound.
    """

    samples: int
    corrupted: int
    kept: int
    queries: int
    classification_rate: float
    categories: int
    category_shift: float
    detection: Detection
    by_category: dict[str, Detection]
    sounds: Retrieval
    pictures: Retrieval

    @property
    def kept_share(self) -> float:
        """Of the training samples."""
        return self.kept / self.samples


def scores_of(
    training: LabelledSamples, decision: Decision, test: LabelledSamples, *, categories: StrArray, m: int
) -> Scores:
    """Measure a filter.

    training: n samples, corrupted.  decision: on them.  test: clean.  categories: those of the experiment.  m: answers
    that vote.
    """
    kept = decision.kept
    truth, collection = training.truth, training.take(kept)
    seen = truth.picture[kept & truth.clean]
    stats = training.audio_stats()
    heard, queries = normalise_audio(collection.audio, stats), normalise_audio(test.audio, stats)
    wanted = test.truth.picture
    return Scores(
        samples=len(training),
        corrupted=int((~truth.clean).sum()),
        kept=len(collection),
        queries=len(test),
        classification_rate=classification_rate(collection, test, categories=categories, m=m),
        categories=len(np.unique(seen)),
        category_shift=category_shift(kept, truth.picture),
        detection=detection(truth.clean, kept, score=decision.score),
        by_category=by_category(truth.clean, kept, truth.picture, score=decision.score),
        sounds=_retrieval(test.visual, wanted, collection.visual, collection.truth.sound),
        pictures=_retrieval(queries, wanted, heard, collection.truth.picture),
    )


def classification_rate(
    collection: LabelledSamples, queries: LabelledSamples, *, categories: StrArray, m: int
) -> float:
    """The share of query pictures for which the majority of m sounds is of their category; 0 of an empty collection.

    The m samples with the nearest pictures vote with the categories of their sounds, all of them where there are
    fewer. Sounds of none of the categories vote alike, for none of them. Of t with most votes each counts 1 / t, which
    is what a tie decided at random gives on average.
    """
    if not len(collection):
        return 0.0
    truth = collection.truth
    sound = np.where(np.isin(truth.sound, categories), truth.sound, _NO_CATEGORY)
    votes = Truth(truth.picture, sound, truth.clean, truth.labelled)
    wanted = queries.truth.picture
    return retrieval_rates(queries.visual, wanted, collection.visual, votes, m=min(m, len(collection))).majority_sound


def _retrieval(queries: Float32Array, wanted: StrArray, samples: Float32Array, categories: StrArray) -> Retrieval:
    if not len(samples):
        return Retrieval(RankingScores(0.0, 0.0, 0.0, 0.0, 0.0), RankingScores(*[math.nan] * 5))
    found = retrieval_scores(queries, wanted, samples, categories)
    right = (categories[None, :] == wanted[:, None]).sum(axis=1)
    return Retrieval(found, chance_scores(right, samples=len(samples)))
